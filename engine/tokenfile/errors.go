package tokenfile

import "fmt"

// The classes of refusal that a caller may act on, by errors.Is. The text of an
// error that Read returns or a Refusal carries is a sentence for people.
const (
	ErrFormat        = class("malformed")                    // not what the format says
	ErrAltered       = class("damaged or altered")           // a MAC or checksum is wrong
	ErrNeedPassword  = class("password needed")              // and none was given
	ErrWrongPassword = class("wrong password")               // or key
	ErrDevice        = class("bound to another device")      // give the right device ID
	ErrUnsupported   = class("not supported")                // understood, and not read on purpose
	ErrExpired       = class("expired")                      // at Options.Now
	ErrDuplicate     = class("serial twice in the file")     // the first one was read
	ErrTooLarge      = class("larger than the limit allows") // of file, record or cost
)

// class is a sentinel: a constant, so that nobody can assign to it.
type class string

func (c class) Error() string { return string(c) }

// because makes an error of class c whose text is only the sentence.
func (c class) because(format string, args ...any) error {
	return &problem{c, fmt.Sprintf(format, args...)}
}

type problem struct {
	class    class
	sentence string
}

func (p *problem) Error() string { return p.sentence }
func (p *problem) Unwrap() error { return p.class }
