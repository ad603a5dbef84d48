// Netrpcpeer is the other end of a net/rpc connection in the tests of goloagent.netrpc:
// Go's own client or server, with arguments and replies of every shape that gob has.
//
//	netrpcpeer serve          serve on a free port, print "host:port", end with stdin
//	netrpcpeer call ADDR N    call ADDR in several ways, N calls at once, print the outcome
package main

import (
	"encoding/gob"
	"fmt"
	"io"
	"os"
)

func main() {
	gob.Register(Leaf{})
	gob.Register(Wrapper{})
	gob.Register(Late{})
	gob.Register(Numbers{})
	gob.Register(map[string]Leaf{})
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "serve":
		err = serve(os.Stdin, os.Stdout)
	case len(os.Args) == 4 && os.Args[1] == "call":
		err = call(os.Args[2], os.Args[3], os.Stdout)
	default:
		err = fmt.Errorf("usage: netrpcpeer serve | netrpcpeer call ADDR N")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// untilClosed returns when nothing more can come from r.
func untilClosed(r io.Reader) {
	io.Copy(io.Discard, r)
}
