// shop sleeps for 1 to 30 ms in each call, evenly on a logarithmic scale, and prints that duration as its result's.
// Its results are of three URLs; every tenth is an error with a message, every tenth of those also fails its call,
// and after every hundredth there is an invalid line.
package main

import (
	"errors"
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

var urls = []string{"http://example.org/", "http://example.org/cart", "http://example.org/pay?a=1,b=2"}

func (server *Server) Run(_ *NullArg, _ *NullArg) error {
	number := server.calls.Add(1)
	// The multiples of the golden ratio are spread evenly over the numbers from 0 to 1.
	_, place := math.Modf(float64(number) * math.Phi)
	duration := time.Duration(1e6 * math.Pow(30, place))
	time.Sleep(duration)
	status, failure := 200, "null"
	if number%10 == 0 {
		status, failure = 503, `"no \"stock\", for now"`
	}
	line := fmt.Sprintf(`{"sequenceID":"%d","url":%q,"method":"GET","status":%d,"size":%d,"timestamp":%q,"duration":%d,"error":%s}`+"\n",
		number/7, urls[number%3], status, 100+number%50, time.Now().Format(time.RFC3339Nano), duration, failure)
	if number%100 == 0 {
		line += "no result\n"
	}
	if _, err := fmt.Print(line); err != nil {
		return err
	}
	if number%100 == 0 {
		return errors.New("no stock")
	}
	return nil
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
