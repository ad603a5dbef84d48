// spread sleeps for 1 to 30 ms in each call, evenly on a logarithmic scale, and prints that duration as its result's.
// Every tenth result is an error.
package main

import (
	"fmt"
	"log"
	"math"
	"net"
	"net/rpc"
	"os"
	"sync/atomic"
	"time"
)

type NullArg struct{}

type Server struct{ calls atomic.Int64 }

func (server *Server) Run(_ *NullArg, _ *NullArg) error {
	number := server.calls.Add(1)
	// The multiples of the golden ratio are spread evenly over the numbers from 0 to 1.
	_, place := math.Modf(float64(number) * math.Phi)
	duration := time.Duration(1e6 * math.Pow(30, place))
	time.Sleep(duration)
	status := 200
	if number%10 == 0 {
		status = 503
	}
	_, err := fmt.Printf(`{"url":"http://example.org/","method":"GET","status":%d,"timestamp":%q,"duration":%d}`+"\n",
		status, time.Now().Format(time.RFC3339Nano), duration)
	return err
}

func main() {
	listener, err := net.Listen("tcp", os.Getenv("GOLO_RPC_ADDR"))
	if err != nil {
		log.Fatal(err)
	}
	if err := rpc.Register(&Server{}); err != nil {
		log.Fatal(err)
	}
	rpc.Accept(listener)
}
