package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

type result struct {
	SequenceID string    `json:"sequenceID"`
	URL        string    `json:"url"`
	Method     string    `json:"method"`
	Status     int       `json:"status"`
	Size       int64     `json:"size"`
	Timestamp  time.Time `json:"timestamp"`
	Duration   int64     `json:"duration"`
	Error      any       `json:"error"`
}

// collect takes every batch at once and keeps nothing.
func collect(address string) {
	log.Fatal(http.ListenAndServe(address, http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		io.Copy(io.Discard, request.Body)
	})))
}

// target answers with 512 bytes.
func target(address string) {
	body := make([]byte, 512)
	log.Fatal(http.ListenAndServe(address, http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		answer.Write(body)
	})))
}

// getter makes one HTTP request a call and prints its result, as load tests do.
func getter(url string) func() {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4096}}
	var made atomic.Int64
	return func() {
		begin := time.Now()
		outcome := result{SequenceID: strconv.FormatInt(made.Add(1), 10), URL: url, Method: http.MethodGet}
		answer, err := client.Get(url)
		if err == nil {
			outcome.Status = answer.StatusCode
			outcome.Size, err = io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
		if err != nil {
			outcome.Error = err.Error()
		}
		outcome.Timestamp = time.Now()
		outcome.Duration = int64(outcome.Timestamp.Sub(begin))
		line, err := json.Marshal(outcome)
		if err != nil {
			log.Fatal(err)
		}
		os.Stdout.Write(append(line, '\n'))
	}
}

// probe asks a hundred times a second and prints the 50th and 99th of 100 answer times, in seconds.
func probe(url string, duration time.Duration) {
	var took []float64
	for end := time.Now().Add(duration); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		begin := time.Now()
		answer, err := http.Get(url)
		if err != nil {
			log.Fatal(err)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		took = append(took, time.Since(begin).Seconds())
	}
	slices.Sort(took)
	json.NewEncoder(os.Stdout).Encode(map[string]float64{
		"p50": took[len(took)/2], "p99": took[len(took)*99/100], "most": took[len(took)-1],
	})
}
