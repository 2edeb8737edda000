// Users that ask a server of HTTP/3 one thing after the other: `client URL SECONDS USERS CONNECTIONS`. It prints requests per second.
package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go/http3"
)

func number(text string) float64 {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	url, seconds, users, connections := os.Args[1], number(os.Args[2]), int(number(os.Args[3])), int(number(os.Args[4]))
	clients := make([]*http.Client, connections)
	for at := range clients {
		clients[at] = &http.Client{Transport: &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	}
	var made atomic.Uint64
	var all sync.WaitGroup
	end := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	for user := range users {
		all.Add(1)
		go func() {
			defer all.Done()
			client := clients[user%connections]
			for time.Now().Before(end) {
				answer, err := client.Get(url)
				if err != nil {
					log.Fatal(err)
				}
				if _, err = io.Copy(io.Discard, answer.Body); err != nil {
					log.Fatal(err)
				}
				answer.Body.Close()
				made.Add(1)
			}
		}()
	}
	all.Wait()
	fmt.Println(float64(made.Load()) / seconds)
}
