package node

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"keyfob/cluster"
	"keyfob/cluster/vault"
	"keyfob/cmd/keyfob/cli"
)

// resealed is the result of cluster reseal.
type resealed struct {
	Node string `json:"node"`
	From string `json:"from"` // seal providers
	To   string `json:"to"`
}

func (e *program) clusterReseal() *cobra.Command {
	var to newNodeFlags
	var from string
	out := &cli.Output{}
	c := cli.Command("reseal", "Move the root key of this machine's node to the seal provider of the configuration", func(c *cobra.Command, _ []string) error {
		done, err := e.reseal(c, to, from)
		if err != nil {
			return err
		}
		e.Say("node %s: the root key moved from %s to %s, and was unwrapped again as a test; start the node", done.Node, done.From, done.To)
		if done.From == sealKeyFile {
			e.Say("the old seal key is no longer used: delete it, and backups of it")
		}
		return out.Shown(e.Environment, done)
	})
	c.Long = c.Short + `.

Stop the node, change seal.* in its configuration, run this command, and start the node again, one
node after the other. The root key itself does not change. It is wrapped with the new provider and
unwrapped again before the old file is replaced; if that fails, nothing is changed.

Without --from the root key is wrapped by seal.key in the data directory.`
	c.Example = `  keyfob cluster reseal --config /etc/keyfob/keyfob.yaml
  keyfob cluster reseal --config /etc/keyfob/keyfob.yaml --from /etc/keyfob/keyfob.yaml.old`
	c.Flags().StringVar(&from, "from", "", "configuration `FILE` with the seal provider of before")
	return out.Flag(to.flags(c))
}

func (e *program) reseal(c *cobra.Command, to newNodeFlags, from string) (done resealed, err error) {
	cfg, err := e.loadConfig(to.config)
	if err != nil {
		return done, e.configProblems(err)
	}
	s, err := cfg.serviceUser(to.user)
	if err != nil {
		return done, err
	}
	if err := onlyItself(c, s, os.Geteuid()); err != nil {
		return done, err
	}
	before, err := e.providerBefore(cfg, from)
	if err != nil {
		return done, err
	}
	n, err := e.nodeConfig(cfg, e.logger(LogConfig{Level: "error"}, new(slog.LevelVar)), nil)
	if err != nil {
		return done, err
	}
	lock, err := lockData(cfg.Data) // a running node may be writing the file
	if err != nil {
		return done, err
	}
	defer lock.Close()
	if err := n.prepare(); err != nil {
		return done, err
	}
	if err := cluster.Reseal(c.Context(), n.Config, before); err != nil {
		return done, fmt.Errorf("moving the root key of node %s: %w", cfg.Node, err)
	}
	return resealed{Node: cfg.Node, From: before.Name(), To: cfg.Seal.Provider}, nil
}

// providerBefore is the provider that the root key is wrapped with.
func (e *program) providerBefore(cfg Config, file string) (vault.Provider, error) {
	inData := vault.NewKeyFile(filepath.Join(cfg.Data, "seal.key"))
	if file == "" {
		return inData, nil
	}
	old, err := e.loadConfig(file)
	if err != nil {
		return nil, e.configProblems(err)
	}
	p, err := e.sealProvider(old)
	if p == nil && err == nil {
		return inData, nil
	}
	return p, err
}
