// target is not a load test but what one aims at: an HTTP server that responds to every request, and prints its URL as
// the first line of stdout. A test freezes it by SIGSTOP.
//
// Built with -ldflags "-X main.delay=50ms" it takes so long for each response.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"time"
)

var delay = "0s"

func main() {
	pause, err := time.ParseDuration(delay)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s/\n", listener.Addr())
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		time.Sleep(pause)
		fmt.Fprintln(answer, "hello from the target")
	})))
}
