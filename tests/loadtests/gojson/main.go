// gojson uses Go's encoding/json for results as the programs of go-lo do.
//
// "gojson print" prints results of many contents, one JSON object a line, as a load test does.
// "gojson collect" prints its URL and then answers pushes as a collector does: 200 if the body is an
// array of results, else 400. Each sequenceID that it accepted is a line on stdout.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"
)

type result struct {
	SequenceID string        `json:"sequenceID"`
	URL        string        `json:"url"`
	Method     string        `json:"method"`
	Status     int           `json:"status"`
	Size       int64         `json:"size"`
	Timestamp  time.Time     `json:"timestamp"`
	Duration   time.Duration `json:"duration"`
	Error      interface{}   `json:"error"`
}

func print() {
	texts := []string{"", "http://localhost/a?x=1&y=<2>", "é\u2028\U0001f600", "\x00\t\"\\\x7f", "\xff\xed\xa0\x80"}
	numbers := []int64{0, -1, 200, math.MaxInt64, math.MinInt64}
	times := []time.Time{
		{},
		time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		time.Date(2024, 2, 29, 23, 59, 59, 999999999, time.FixedZone("", 14*3600)),
		time.Date(9999, 12, 31, 0, 0, 0, 120000000, time.FixedZone("", -(9*3600 + 30*60))),
	}
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	errs := []interface{}{
		nil, errors.New("plain"), "text", 5, 1.5e300, true, []string{"a"},
		&url.Error{Op: "Get", URL: "http://localhost/", Err: refused},
		map[string]interface{}{"status": "x", "timestamp": nil},
	}
	encoder := json.NewEncoder(os.Stdout)
	for _, text := range texts {
		for _, number := range numbers {
			for _, at := range times {
				for _, err := range errs {
					one := result{text, text, text, int(number), number, at, time.Duration(number), err}
					if err := encoder.Encode(one); err != nil {
						panic(err)
					}
				}
			}
		}
	}
}

func collect() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Printf("http://%s\n", listener.Addr())
	panic(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var results []result
		if err := json.NewDecoder(r.Body).Decode(&results); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, one := range results {
			fmt.Println(one.SequenceID)
		}
	})))
}

func main() {
	if os.Args[1] == "print" {
		print()
	} else {
		collect()
	}
}
