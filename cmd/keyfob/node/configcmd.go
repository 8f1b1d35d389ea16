package node

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/spf13/cobra"

	"keyfob/cluster/vault"
	"keyfob/cmd/keyfob/cli"
)

func (e *program) configCommand() *cobra.Command {
	return e.Group("config", "Check and print the configuration of a node", e.configCheck(), e.configPrint(), e.configSchema())
}

// configFlag adds --config.
func configFlag(c *cobra.Command, file *string) *cobra.Command {
	c.Flags().StringVar(file, "config", "", "`FILE` with the configuration (default: environment and defaults alone)")
	return c
}

// configProblems prints what is wrong with a configuration, each problem on a
// line.
func (e *program) configProblems(err error) error {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(e.Err, "keyfob: %s\n", strings.TrimSuffix(line, "\n"))
	}
	return &cli.AlreadySaid{}
}

func (e *program) configCheck() *cobra.Command {
	var file, name string
	c := cli.Command("check", "Check a configuration and the files that it names", func(command *cobra.Command, _ []string) error {
		c, err := e.loadConfig(file)
		s, userErr := c.serviceUser(name)
		if userErr != nil {
			return userErr
		}
		problems := []error{err}
		if file != "" && c.lines != nil {
			if err := s.canRead(file); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", file, err))
			}
		}
		for _, p := range c.fileProblems(s) {
			problems = append(problems, c.at(p))
		}
		if err := errors.Join(problems...); err != nil {
			return e.configProblems(err)
		}
		switch err := e.trySeal(command.Context(), c); {
		case errors.Is(err, vault.ErrUnreachable):
			e.Say("warning: seal.provider: %s; the node waits for it", cli.OneLine(err))
		case err != nil:
			return e.configProblems(c.at(problem{"seal", err.Error()}))
		}
		for _, w := range c.warnings() {
			e.Say("warning: %s", w)
		}
		e.Say("configuration of node %s is valid; user %s can read its files", c.Node, s.name)
		return nil
	})
	c.Long = c.Short + ".\n\n" +
		"Every problem is printed with its line. The files that the configuration names must exist, and the\n" +
		"user that the node runs as must be able to read them. The providers transit and pkcs11 are asked to\n" +
		"wrap and unwrap a value; if one cannot be reached, that is a warning."
	c.Example = "  keyfob config check --config /etc/keyfob/keyfob.yaml"
	return userFlag(configFlag(c, &file), &name)
}

func (e *program) configPrint() *cobra.Command {
	var out cli.Output
	var file string
	c := configFlag(cli.Command("print", "Print the effective configuration: defaults, file and environment", func(*cobra.Command, []string) error {
		c, err := e.loadConfig(file)
		if err != nil {
			return e.configProblems(err)
		}
		if out.JSON() {
			return cli.WriteJSON(e.Out, tree(&c, func(k key) any {
				if k.value.Kind() == reflect.Slice {
					return k.value.Interface()
				}
				return k.shown(k.value.String())
			}))
		}
		_, err = fmt.Fprint(e.Out, WriteConfig(&c))
		return err
	}), &file)
	out.Flag(c)
	c.Flags().Lookup("output").Usage = "table (YAML) or json"
	return c
}

func (e *program) configSchema() *cobra.Command {
	return cli.Command("schema", "Print the JSON schema of the configuration, for editors and checks", func(*cobra.Command, []string) error {
		return cli.WriteJSON(e.Out, configSchema())
	})
}

// tree arranges what leaf answers of each key as the file is arranged.
func tree(c *Config, leaf func(key) any) map[string]any {
	root := map[string]any{}
	for _, k := range keysOf(c) {
		at := root
		parts := strings.Split(k.path, ".")
		for _, group := range parts[:len(parts)-1] {
			if at[group] == nil {
				at[group] = map[string]any{}
			}
			at, _ = at[group].(map[string]any)
		}
		at[parts[len(parts)-1]] = leaf(k)
	}
	return root
}

// configSchema is JSON Schema 2020-12.
func configSchema() map[string]any {
	c := DefaultConfig()
	schema := objects(tree(&c, func(k key) any {
		s := leafSchema{"description": k.doc + " (" + k.variable() + ")"}
		switch {
		case k.value.Kind() == reflect.Slice:
			s["type"], s["items"] = "array", map[string]any{"type": "string"}
			return s
		case k.address():
			s["type"] = []string{"string", "integer"}
		default:
			s["type"] = "string"
		}
		if k.enum != nil {
			s["enum"] = k.enum
		}
		if v := k.value.String(); v != "" {
			s["default"] = strings.TrimPrefix(v, ":")
		}
		return s
	}))
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = "keyfob server configuration"
	schema["required"] = []string{"node"}
	return schema
}

type leafSchema map[string]any

// objects makes a schema of each group.
func objects(group map[string]any) map[string]any {
	properties := map[string]any{}
	for name, v := range group {
		if sub, ok := v.(map[string]any); ok {
			properties[name] = objects(sub)
		} else {
			properties[name] = v
		}
	}
	return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
}
