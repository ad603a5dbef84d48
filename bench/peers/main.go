// peers has a subcommand for each program that the bench runs besides the agent: parts of a Go agent (client, scan, whole),
// the fastest possible client (bound), load tests (noop, hold, print, get), and their surroundings (collect, target, flood, probe).
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"syscall"
	"time"
)

func main() {
	commands := map[string]func([]string){
		"client":  func(a []string) { client(a[0], number(a[1]), seconds(a[2])) },
		"bound":   func(a []string) { bound(a[0], number(a[1]), seconds(a[2])) },
		"noop":    func(a []string) { serve(func() {}) },
		"hold":    func(a []string) { serve(func() { time.Sleep(seconds(a[0])) }) },
		"print":   func(a []string) { serve(printer(number(a[0]), number(a[1]))) },
		"get":     func(a []string) { serve(getter(a[0])) },
		"whole":   func(a []string) { whole(a[0], a[1], a[2], a[3], number(a[4]), seconds(a[5])) },
		"flood":   func(a []string) { flood(seconds(a[0])) },
		"scan":    func(a []string) { scan(a[0]) },
		"collect": func(a []string) { collect(a[0]) },
		"target":  func(a []string) { target(a[0]) },
		"probe":   func(a []string) { probe(a[0], seconds(a[1])) },
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		log.Fatal("which peer?")
	}
	commands[os.Args[1]](os.Args[2:])
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func seconds(text string) time.Duration {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		log.Fatal(err)
	}
	return time.Duration(value * float64(time.Second))
}

// moment is a time and the CPU time of this process at it.
type moment struct {
	time time.Time
	cpu  time.Duration
}

func now() moment {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return moment{time.Now(), time.Duration(usage.Utime.Nano() + usage.Stime.Nano())}
}

// report prints the number of things done since a moment, the seconds and the CPU time.
func report(done int64, begin moment) {
	end := now()
	json.NewEncoder(os.Stdout).Encode(map[string]float64{
		"done": float64(done), "seconds": end.time.Sub(begin.time).Seconds(), "cpu": (end.cpu - begin.cpu).Seconds(),
	})
}

// scan reads a load test's stdout as the Go agent of 2018 did: it writes each line to the log and decodes it.
func scan(path string) {
	begin := now()
	var lines int64
	read(os.Stdin, path, func([]byte) { lines++ })
	report(lines, begin)
}

// read scans lines into a file and passes on those that are results.
func read(lines io.Reader, path string, take func(line []byte)) {
	file, err := os.Create(path)
	if err != nil {
		log.Fatal(err)
	}
	scanner := bufio.NewScanner(lines)
	for scanner.Scan() {
		line := scanner.Bytes()
		if _, err := file.Write(append(line, '\n')); err != nil {
			log.Fatal(err)
		}
		var decoded result
		if json.Unmarshal(line, &decoded) == nil {
			take(line)
		}
	}
	if err := scanner.Err(); err != nil {
		log.Fatal(err)
	}
}

// block returns lines as a load test prints them, spread over a number of URLs.
func block(lines, urls int) []byte {
	var made []byte
	for i := 0; i < lines; i++ {
		made = append(made, fmt.Sprintf(
			`{"sequenceID":"%d","url":"http://127.0.0.1:8000/item/%d","method":"GET","status":200,"size":512,`+
				`"timestamp":"2026-01-02T15:04:05.%09dZ","duration":%d,"error":null}`+"\n",
			i, i%urls, i*7919, 200_000+i*7919%5_000_000)...)
	}
	return made
}

// flood prints for a duration, as fast as the reader reads.
func flood(duration time.Duration) {
	lines := block(5000, 10)
	for begin := time.Now(); time.Since(begin) < duration; {
		if _, err := os.Stdout.Write(lines); err != nil {
			log.Fatal(err)
		}
	}
}
