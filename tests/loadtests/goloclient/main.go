// goloclient does over HTTP exactly what golo-cli of 2018 does: upload a load test and queue it. It prints the id of
// the binary and exits 1 with a sentence when the agent answers anything that golo-cli does not take.
//
//	goloclient HOST:PORT NAME USERS DURATION BINARY [ADDRESS]
//
// HOST is as golo-cli's providers give it: its provider digitalocean gives an IPv6 address without brackets. It stands
// so in the header Host. ADDRESS is connected to in place of HOST:PORT. golo-cli itself always uses port 8081.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
)

type job struct {
	Name     string `json:"name"`
	Users    int    `json:"users"`
	Duration int64  `json:"duration"`
	Binary   string `json:"binary"`
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 6 && len(os.Args) != 7 {
		log.Fatal("usage: goloclient HOST:PORT NAME USERS DURATION BINARY [ADDRESS]")
	}
	agent := os.Args[1]
	if len(os.Args) == 7 {
		http.DefaultTransport.(*http.Transport).DialContext =
			func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, os.Args[6])
			}
	}
	binary := upload(agent, os.Args[5])
	queue(agent, job{os.Args[2], number(os.Args[3]), int64(number(os.Args[4])), binary})
	fmt.Println(binary)
}

func upload(agent, path string) string {
	file, err := os.Open(path)
	check(err)
	defer file.Close()

	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", path)
	check(err)
	_, err = io.Copy(part, file)
	check(err)
	check(form.Close())

	request := post(agent, "/upload", &body)
	request.Header.Set("Content-Type", form.FormDataContentType())
	var answer struct {
		Binary string `json:"binary"`
	}
	send(request, http.StatusOK, &answer)
	return answer.Binary
}

func queue(agent string, wanted job) {
	body, err := json.Marshal(wanted)
	check(err)
	request := post(agent, "/queue", bytes.NewReader(body))
	var answer struct {
		Queued bool `json:"queued"`
	}
	send(request, http.StatusCreated, &answer)
	if !answer.Queued {
		log.Fatal("the agent did not queue the job")
	}
}

// post makes a request whose Host is written as it is: a newer net/url refuses an IPv6 address without brackets.
func post(agent, path string, body io.Reader) *http.Request {
	request, err := http.NewRequest(http.MethodPost, "http://agent"+path, body)
	check(err)
	request.URL = &url.URL{Scheme: "http", Host: agent, Path: path}
	request.Host = agent
	return request
}

func send(request *http.Request, wanted int, answer any) {
	response, err := http.DefaultClient.Do(request)
	check(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	check(err)
	if response.StatusCode != wanted {
		log.Fatalf("%s answered %s: %s", request.URL, response.Status, body)
	}
	check(json.Unmarshal(body, answer))
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
