package main

import (
	"encoding/json"
	"io"
	"net/rpc"
	"strconv"
)

// outcome is a line of what call prints: a method, what kind of argument, and Call's error.
type outcome struct {
	Method   string `json:"method"`
	Argument string `json:"argument"`
	Error    string `json:"error"`
}

func call(address, count string, stdout io.Writer) error {
	atOnce, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	client, err := rpc.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer client.Close()
	lines := json.NewEncoder(stdout)
	said := func(method, argument string, err error) {
		line := outcome{Method: method, Argument: argument}
		if err != nil {
			line.Error = err.Error()
		}
		lines.Encode(line)
	}

	arguments := []struct {
		name  string
		value any
	}{
		{"empty", Arg{}}, {"int", 42}, {"text", "words"}, {"slice", []Leaf{leaf(1), {}}},
		{"map", map[string]any{"a": nested()}}, {"leaf", leaf(2)}, {"wrapper", nested()},
		{"token", Token{"7"}}, {"everything", everything()}, {"empty again", Arg{}},
	}
	for _, argument := range arguments {
		said("Server.Run", argument.name, client.Call("Server.Run", argument.value, new(Arg)))
	}
	for _, method := range []string{"Server.Fail", "Server.Missing", "Nope.Run", "Plain"} {
		said(method, "empty", client.Call(method, Arg{}, new(Arg)))
	}

	done := make(chan *rpc.Call, atOnce)
	for i := 0; i < atOnce; i++ {
		client.Go("Server.Run", Arg{}, new(Arg), done)
	}
	for i := 0; i < atOnce; i++ {
		if finished := <-done; finished.Error != nil {
			said("Server.Run", "at once", finished.Error)
		}
	}
	said("Server.Run", "after "+count, client.Call("Server.Run", Arg{}, new(Arg)))
	return nil
}
