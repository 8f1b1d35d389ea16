package tokenfile

import "fmt"

// Error classes of refusals, for errors.Is. The error text is a sentence for the
// administrator.
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

// class is a sentinel error. It is a constant, so it cannot be reassigned.
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
