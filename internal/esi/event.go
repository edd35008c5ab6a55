package esi

import "time"

// Kind says what an Event is.
type Kind uint8

// Kinds of events. Starts and ends of blocks are balanced in what a Parser returns, whatever the page looks like.
const (
	None         Kind = iota // never returned
	More                     // all input is taken: call Next with more, or Finish
	Text                     // bytes to pass on
	Include                  // a fragment to include
	TryStart                 // <esi:try>
	TryEnd                   // </esi:try>
	AttemptStart             // <esi:attempt>, always directly in a try, at most one in each
	AttemptEnd               // </esi:attempt>
	ExceptStart              // <esi:except>, always directly in a try
	ExceptEnd                // </esi:except>
	End                      // the document is over
)

var kindNames = [...]string{"none", "more", "text", "include", "try", "/try", "attempt", "/attempt", "except", "/except", "end"}

// String returns the kind in a word.
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return "unknown kind"
	}
	return kindNames[k]
}

// An Event is one step through a document. What it points to is a view into the input or into the parser and lives
// until the parser's next call.
type Event struct {
	Kind     Kind
	Text     []byte    // of a Text, never empty
	Fragment *Fragment // of an Include
}

// A Fragment is what an include asks for. Its slices are entity-decoded and otherwise as written: Resolve makes an address of them.
type Fragment struct {
	// Src is the address, never empty. Alt is the one to try when Src fails, empty when there is none.
	Src, Alt []byte
	// Continue says that nothing is to take the fragment's place when both fail (onerror="continue").
	Continue bool
	// MaxWait is how long to wait for it (maxwait, in milliseconds in the page); 0 when the page does not say.
	MaxWait time.Duration
	// Over says that a limit forbids this fragment: it counts as failed without being tried.
	Over bool
}
