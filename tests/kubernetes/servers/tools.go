//go:build tools

// Package servers names the programs of Kubernetes that `make test-kubernetes` builds, so that go.mod has what they need.
package servers

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
)
