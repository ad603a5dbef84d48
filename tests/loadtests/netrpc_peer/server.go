package main

import (
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/rpc"
	"strings"
	"sync"
	"time"
)

// Arg is what the agent sends: nothing.
type Arg struct{}

// Server has a method for each shape of reply.
type Server struct{ gate gate }

func (*Server) Run(_ Arg, _ *Arg) error               { return nil }
func (*Server) Bool(_ Arg, r *bool) error             { *r = true; return nil }
func (*Server) Int(_ Arg, r *int) error               { *r = -1 << 62; return nil }
func (*Server) Uint(_ Arg, r *uint64) error           { *r = 1<<64 - 1; return nil }
func (*Server) Zero(_ Arg, _ *int) error              { return nil }
func (*Server) Float(_ Arg, r *float64) error         { *r = 3.14159; return nil }
func (*Server) Complex(_ Arg, r *complex128) error    { *r = 1 - 2i; return nil }
func (*Server) Text(_ Arg, r *string) error           { *r = strings.Repeat("long é ", 100); return nil }
func (*Server) Bytes(_ Arg, r *[]byte) error          { *r = make([]byte, 70000); return nil }
func (*Server) Slice(_ Arg, r *[]int) error           { *r = []int{1, -2, 1 << 40}; return nil }
func (*Server) Array(_ Arg, r *[4]uint16) error       { r[2] = 500; return nil }
func (*Server) Map(_ Arg, r *map[string]int) error    { *r = map[string]int{"a": 1, "b": 2}; return nil }
func (*Server) Leaves(_ Arg, r *map[int][]Leaf) error { *r = map[int][]Leaf{4: {leaf(4)}}; return nil }
func (*Server) Leaf(_ Arg, r *Leaf) error             { *r = leaf(5); return nil }
func (*Server) Interface(_ Arg, r *Wrapper) error     { *r = Wrapper{Any: leaf(6)}; return nil }
func (*Server) Nested(_ Arg, r *Wrapper) error        { *r = nested().(Wrapper); return nil }
func (*Server) Interfaces(_ Arg, r *[]any) error      { *r = everything().Several; return nil }
func (*Server) InterfaceMap(_ Arg, r *map[string]any) error {
	*r = map[string]any{"n": nested(), "t": Numbers{3}, "nil": nil}
	return nil
}
func (*Server) Time(_ Arg, r *time.Time) error { *r = time.Now(); return nil }
func (*Server) Big(_ Arg, r *big.Int) error    { r.Lsh(big.NewInt(5), 300); return nil }
func (*Server) Token(_ Arg, r *Token) error    { r.digits = "1984"; return nil }
func (*Server) Chain(_ Arg, r *Chain) error    { *r = *chain(200); return nil }
func (*Server) Pointers(_ Arg, r **[]*[]*Leaf) error {
	one := leaf(7)
	*r = &[]*[]*Leaf{{&one}}
	return nil
}
func (*Server) Everything(_ Arg, r *Everything) error { *r = everything(); return nil }
func (*Server) Fail(_ Arg, _ *Everything) error       { return errors.New("failed: é") }
func (*Server) FailLong(_ Arg, _ *Arg) error          { return errors.New(strings.Repeat("long ", 1000)) }

// Gather answers only when 50 calls have come together: replies come in any order.
func (s *Server) Gather(_ Arg, _ *Arg) error {
	s.gate.pass(50)
	return nil
}

// gate lets parties through when they are complete.
type gate struct {
	mutex   sync.Mutex
	waiting int
	open    chan struct{}
}

func (g *gate) pass(party int) {
	g.mutex.Lock()
	if g.waiting == 0 {
		g.open = make(chan struct{})
	}
	g.waiting++
	open := g.open
	if g.waiting == party {
		g.waiting = 0
		close(open)
	}
	g.mutex.Unlock()
	<-open
}

func serve(stdin io.Reader, stdout io.Writer) error {
	server := rpc.NewServer()
	if err := server.Register(new(Server)); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, listener.Addr())
	go server.Accept(listener)
	untilClosed(stdin)
	return nil
}
