// A server of HTTP/3 that counts what it answers: `server CERTIFICATE KEY`.
//
// It prints its port, and for each line on stdin how many requests it has answered so far.
package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

func main() {
	pair, err := tls.LoadX509KeyPair(os.Args[1], os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		log.Fatal(err)
	}
	var answered atomic.Uint64
	body := []byte("hello, hello")
	server := http3.Server{
		TLSConfig:  http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{pair}}),
		QUICConfig: &quic.Config{MaxIncomingStreams: 1 << 20},
		Handler: http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
			out.Header().Set("Content-Type", "text/plain")
			out.Write(body)
			answered.Add(1)
		}),
	}
	fmt.Println(socket.LocalAddr().(*net.UDPAddr).Port)
	go func() {
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			fmt.Println(answered.Load())
		}
		os.Exit(0)
	}()
	log.Fatal(server.Serve(socket))
}
