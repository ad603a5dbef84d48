package main

import (
	"fmt"
	"math/big"
	"time"
)

// Leaf is a struct of basic values.
type Leaf struct {
	Flag    bool
	Small   int8
	Large   int64
	Natural uint32
	Ratio   float64
	Wave    complex128
	Text    string
	Raw     []byte
}

// Late is a type that the stream has not seen when its first value comes inside an interface.
type Late struct {
	Name  string
	Inner any
}

// Wrapper holds an interface value; within another interface value, its definitions are nested.
type Wrapper struct {
	Before int
	Any    any
	After  string
}

// Numbers is a named slice, which stands alone inside an interface.
type Numbers []int

// Token encodes itself (gob.GobEncoder).
type Token struct{ digits string }

// GobEncode writes the token as it is.
func (t Token) GobEncode() ([]byte, error) { return []byte(t.digits), nil }

// GobDecode takes any token.
func (t *Token) GobDecode(data []byte) error {
	t.digits = string(data)
	return nil
}

// Chain is a recursive type.
type Chain struct {
	Value int
	Next  *Chain
}

// Everything has a member of every kind of type.
type Everything struct {
	Leaf      Leaf
	Pointer   *Leaf
	Missing   *Leaf
	Texts     []string
	Leaves    []Leaf
	Grid      [3][2]int
	Table     map[string][]float64
	ByNumber  map[int]*Leaf
	Whatever  any
	Several   []any
	When      time.Time
	Huge      *big.Int
	Token     Token
	Nothing   struct{}
	Empty     map[string]int
	Recursive *Chain
}

func leaf(n int) Leaf {
	return Leaf{
		Flag: n%2 == 0, Small: int8(-n), Large: -1 << 62, Natural: 1<<32 - 1,
		Ratio: 17.25 * float64(n), Wave: complex(0.5, -float64(n)),
		Text: fmt.Sprintf("leaf %d: é", n), Raw: []byte{0, 1, 0xff},
	}
}

func chain(length int) *Chain {
	var first *Chain
	for i := 0; i < length; i++ {
		first = &Chain{i, first}
	}
	return first
}

func everything() Everything {
	one, two := leaf(1), leaf(2)
	return Everything{
		Leaf: one, Pointer: &two, Texts: []string{"", "a", "bc"}, Leaves: []Leaf{one, {}, two},
		Grid: [3][2]int{{1, -2}, {}, {1 << 40, 5}}, Table: map[string][]float64{"x": {1, 2}, "": nil},
		ByNumber: map[int]*Leaf{-7: &one, 300: &two}, Whatever: nested(),
		Several: []any{nil, 1, "two", 3.0, one, Numbers{1, 2}, nested(), true, []byte("raw")},
		When:    time.Date(2018, 5, 4, 3, 2, 1, 9, time.FixedZone("", 7200)),
		Huge:    new(big.Int).Lsh(big.NewInt(3), 200), Token: Token{"0451"},
		Empty: map[string]int{}, Recursive: chain(50),
	}
}

// nested puts interface values inside interface values, three deep, each of a type of its own.
func nested() any {
	return Wrapper{Before: -1, After: "end", Any: Late{Name: "late", Inner: map[string]Leaf{
		"a": leaf(3), "b": {},
	}}}
}
