package tokenfile

import "strings"

// isStokenRC detects the file of the stoken program by its first line.
func isStokenRC(first string) bool {
	fields := strings.Fields(first)
	return len(fields) == 2 && (fields[0] == "version" || fields[0] == "token")
}

// readStokenRC reads ~/.stokenrc: lines of a word and a value, of which "token"
// has a CTF string. A PIN in the file belongs to its owner and is not read.
func readStokenRC(in *lines, c *collector) error {
	for {
		line, ok := in.next()
		if !ok {
			return in.err()
		}
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "token":
			tok, err := parseCTF(value, c.options)
			if err := c.take(tok, in.number, err); err != nil {
				return err
			}
		case "pin":
			c.note("the PIN in the file was not imported: the owner sets one at the first login")
		case "version":
		default:
			c.note("a line that is neither version, token nor pin was skipped")
		}
	}
}
