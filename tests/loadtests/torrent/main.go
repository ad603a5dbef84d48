// torrent prints results at a steady rate for as long as it is called, whatever the number of calls. At SIGTERM it
// writes "printed N in S s" to stderr.
//
// Built with -ldflags "-X main.rate=N": how many lines a second.
package main

import (
	"bytes"
	"fmt"
	"log"
	"net"
	"net/rpc"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

var rate string

// How long a call takes, and after how long without one it prints no more.
const (
	pause = 20 * time.Millisecond
	quiet = 100 * time.Millisecond
	tick  = 5 * time.Millisecond
)

type NullArg struct{}

type Server struct {
	called atomic.Int64
}

func (server *Server) Run(_ *NullArg, _ *NullArg) error {
	server.called.Store(time.Now().UnixNano())
	time.Sleep(pause)
	return nil
}

// print prints what is due; what stdout is too slow for, above a tenth of a second, is never due again.
func (server *Server) print(perSecond int, printed *atomic.Int64, spent *atomic.Int64) {
	var due float64
	last := time.Now()
	for range time.Tick(tick) {
		now := time.Now()
		elapsed := now.Sub(last)
		last = now
		if now.UnixNano()-server.called.Load() > int64(quiet) {
			continue
		}
		spent.Add(int64(elapsed))
		due = min(due+elapsed.Seconds()*float64(perSecond), float64(perSecond)/10)
		var block bytes.Buffer
		for ; due >= 1; due-- {
			number := printed.Add(1)
			fmt.Fprintf(&block, `{"sequenceID":"%d","url":"http://example.org/%d","method":"GET","status":200,"size":12,`+
				`"timestamp":"2026-01-02T03:04:05.678Z","duration":%d,"error":null}`+"\n",
				number, number%10, 1000000+number%1000*1000)
		}
		os.Stdout.Write(block.Bytes())
	}
}

func main() {
	perSecond, err := strconv.Atoi(rate)
	if err != nil {
		log.Fatal("rate: ", err)
	}
	address := os.Getenv("GOLO_RPC_ADDR")
	if address == "" {
		address = "127.0.0.1:9999"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	server := new(Server)
	if err := rpc.Register(server); err != nil {
		log.Fatal(err)
	}
	go rpc.Accept(listener)

	var printed, spent atomic.Int64
	go server.print(perSecond, &printed, &spent)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	<-ended
	fmt.Fprintf(os.Stderr, "printed %d in %.3f s\n", printed.Load(), time.Duration(spent.Load()).Seconds())
}
