// Gouploader sends a file as the body of requests, and prints a line for each answer: its status, a
// space and its body; or "error: " and why there is none.
//
// Usage: gouploader URL FILE length|chunked TRIES [HEADER…]
package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

func main() {
	url, mode := os.Args[1], os.Args[3]
	tries, _ := strconv.Atoi(os.Args[4])
	body, err := os.ReadFile(os.Args[2])
	if err != nil {
		panic(err)
	}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	for ; tries > 0; tries-- {
		var reader io.Reader = bytes.NewReader(body)
		if mode == "chunked" {
			reader = io.MultiReader(reader) // which hides its length
		}
		request, _ := http.NewRequest("POST", url, reader)
		for _, header := range os.Args[5:] {
			name, value, _ := strings.Cut(header, ": ")
			request.Header.Set(name, value)
		}
		response, err := client.Do(request)
		if err != nil {
			fmt.Println("error:", err)
			continue
		}
		sentence, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			fmt.Println("error: in the body:", err)
			continue
		}
		fmt.Println(response.StatusCode, strings.TrimSpace(string(sentence)))
	}
}
