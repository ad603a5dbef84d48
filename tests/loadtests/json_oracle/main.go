// json_oracle says which lines Go's own JSON decoder takes for a result.
//
// For each line on stdin it writes one line to stdout: "1" when encoding/json decodes it into a
// collector's record without an error and the record then has a timestamp, else "0".
package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"time"
)

// record is what a collector decodes each member of a batch into.
type record struct {
	SequenceID string        `json:"sequenceID"`
	URL        string        `json:"url"`
	Method     string        `json:"method"`
	Status     int           `json:"status"`
	Size       int64         `json:"size"`
	Timestamp  timestamp     `json:"timestamp"`
	Duration   time.Duration `json:"duration"`
	Error      interface{}   `json:"error"`
}

// timestamp is time.Time, decoded by its own method, that remembers whether it was there.
type timestamp struct {
	time.Time
	given bool
}

func (t *timestamp) UnmarshalJSON(data []byte) error {
	t.given = t.given || string(data) != "null"
	return t.Time.UnmarshalJSON(data)
}

func isResult(line []byte) bool {
	var rec record
	return json.Unmarshal(line, &rec) == nil && rec.Timestamp.given
}

func main() {
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	answers := bufio.NewWriter(os.Stdout)
	defer answers.Flush()
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return
		}
		if err != nil && err != io.EOF {
			panic(err)
		}
		answer := "0\n"
		if isResult(line) {
			answer = "1\n"
		}
		answers.WriteString(answer)
		if lines.Buffered() == 0 {
			answers.Flush() // whoever asks may be waiting for it
		}
	}
}
