package tokenfile

import "fmt"

// The classes of refusals, for errors.Is. The text of an error is a sentence
// for people.
const (
	ErrFormat        = class("malformed")                    // does not follow the format
	ErrAltered       = class("damaged or altered")           // a MAC or checksum is wrong
	ErrNeedPassword  = class("password needed")              // none was given
	ErrWrongPassword = class("wrong password")               // or key
	ErrDevice        = class("bound to another device")      // give the right device ID
	ErrUnsupported   = class("not supported")                // understood, but deliberately not read
	ErrExpired       = class("expired")                      // at Options.Now
	ErrDuplicate     = class("serial twice in the file")     // the first one was read
	ErrTooLarge      = class("larger than the limit allows") // of file, record or cost
)

// class is a sentinel. It is a constant, so that it cannot be assigned to.
type class string

func (c class) Error() string { return string(c) }

// because returns an error of class c with the given sentence as text.
func (c class) because(format string, args ...any) error {
	return &problem{c, fmt.Sprintf(format, args...)}
}

type problem struct {
	class    class
	sentence string
}

func (p *problem) Error() string { return p.sentence }
func (p *problem) Unwrap() error { return p.class }
