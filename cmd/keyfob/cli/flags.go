package cli

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// valueNames are shown for the types of Go, where the text of a flag names
// nothing.
var valueNames = map[string]string{
	"string": "TEXT", "int": "NUMBER", "int64": "NUMBER", "uint64": "NUMBER", "intSlice": "NUMBERS",
}

// NameValues gives the values of all flags below c names that people have for
// them.
func NameValues(c *cobra.Command) {
	for _, sub := range c.Commands() {
		sub.Flags().VisitAll(func(f *pflag.Flag) {
			if name, ok := valueNames[f.Value.Type()]; ok {
				f.Value = named{f.Value, name}
			}
			if f.DefValue == "0s" {
				f.DefValue = "" // not worth showing
			}
		})
		NameValues(sub)
	}
}

// named is a value with a name for --help.
type named struct {
	pflag.Value
	name string
}

// Type returns the name.
func (n named) Type() string { return n.name }
