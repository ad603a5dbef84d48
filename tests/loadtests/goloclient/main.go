// goloclient does over HTTP exactly what golo-cli of 2018 does: upload a load test and queue it. It prints the id of
// the binary and exits 1 with a sentence when the agent answers anything that golo-cli does not take.
//
//	goloclient HOST:PORT NAME USERS DURATION BINARY
//
// golo-cli itself always uses port 8081.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"mime/multipart"
	"net/http"
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
	if len(os.Args) != 6 {
		log.Fatal("usage: goloclient HOST:PORT NAME USERS DURATION BINARY")
	}
	agent := "http://" + os.Args[1]
	binary := upload(agent+"/upload", os.Args[5])
	queue(agent+"/queue", job{os.Args[2], number(os.Args[3]), int64(number(os.Args[4])), binary})
	fmt.Println(binary)
}

func upload(url, path string) string {
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

	request, err := http.NewRequest(http.MethodPost, url, &body)
	check(err)
	request.Header.Set("Content-Type", form.FormDataContentType())
	var answer struct {
		Binary string `json:"binary"`
	}
	send(request, http.StatusOK, &answer)
	return answer.Binary
}

func queue(url string, wanted job) {
	body, err := json.Marshal(wanted)
	check(err)
	request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	check(err)
	var answer struct {
		Queued bool `json:"queued"`
	}
	send(request, http.StatusCreated, &answer)
	if !answer.Queued {
		log.Fatal("the agent did not queue the job")
	}
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
