package node

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/spf13/cobra"

	"keyfob/cmd/keyfob/cli"
)

func (e *program) configCommand() *cobra.Command {
	return e.Group("config", "The configuration file of a node", e.configCheck(), e.configPrint(), e.configSchema())
}

// configFlag adds --config.
func configFlag(c *cobra.Command, file *string) *cobra.Command {
	c.Flags().StringVar(file, "config", "", "`FILE` with the configuration (default only the environment and the defaults)")
	return c
}

// problems shows what is wrong with a configuration, each on its line.
func (e *program) configProblems(err error) error {
	lines := strings.Split(err.Error(), "\n")
	for _, line := range lines {
		fmt.Fprintf(e.Err, "keyfob: %s\n", line)
	}
	return &cli.AlreadySaid{}
}

func (e *program) configCheck() *cobra.Command {
	var file string
	return configFlag(cli.Command("check", "Say everything that is wrong with a configuration", func(*cobra.Command, []string) error {
		c, err := e.loadConfig(file)
		if err == nil {
			err = c.filesProblem()
		}
		if err != nil {
			return e.configProblems(err)
		}
		for _, w := range c.warnings() {
			e.Say("warning: %s", w)
		}
		e.Say("the configuration of node %s is good", c.Node)
		return nil
	}), &file)
}

func (e *program) configPrint() *cobra.Command {
	var out cli.Output
	var file string
	c := configFlag(cli.Command("print", "Print the configuration that holds: defaults, file and environment together", func(*cobra.Command, []string) error {
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
