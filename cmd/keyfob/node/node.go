// Package node runs a node: the configuration, the commands that make a node
// and run it, and the wiring of the cluster with its front ends, the audit
// stream and the metrics. server.go starts the parts in the order in which
// they need each other.
package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"

	"github.com/spf13/cobra"

	"keyfob/cluster"
	"keyfob/cluster/vault"
	"keyfob/cmd/keyfob/cli"
	"keyfob/engine"
	"keyfob/webui"
)

// program builds the commands for an environment.
type program struct{ *cli.Environment }

// Commands returns the commands that run a node, and those of the group cluster
// that work on its files.
func Commands(e *cli.Environment) (run, onFiles []*cobra.Command) {
	p := &program{e}
	return []*cobra.Command{p.serverCommand(), p.configCommand()},
		[]*cobra.Command{p.clusterInit(), p.clusterJoin(), p.clusterRestore(), p.clusterReseal()}
}

// nodeSettings is the configuration for package cluster.
type nodeSettings struct {
	cluster.Config
	seal SealConfig
}

func (e *program) nodeConfig(c Config, log *slog.Logger, counts *metrics) (nodeSettings, error) {
	n := nodeSettings{Config: cluster.DefaultConfig(), seal: c.Seal}
	n.Node, n.Site, n.Data = c.Node, c.Site, c.Data
	n.Listen, n.Advertise = c.Cluster.Listen, c.Cluster.Advertise
	n.Version, n.Now, n.Log = cli.ThisBuild().Version, e.Now, log
	if counts != nil {
		n.Observe = counts.committed
	}
	var err error
	if n.Seal, err = e.sealProvider(c); err != nil {
		return n, err
	}
	n.CommonPINs, err = commonPINs(c.PIN.Common)
	return n, err
}

// commonPINs reads the list of PINs that are not allowed, or returns nil if none is
// configured.
func commonPINs(file string) (engine.PINList, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading pin.common: %w", err)
	}
	defer f.Close()
	list, err := engine.ReadPINList(f)
	if err != nil {
		return nil, fmt.Errorf("reading pin.common, %s: %w", file, err)
	}
	return list, nil
}

// exists returns an error if there is no node to start.
func (n nodeSettings) exists() error {
	info, err := os.Stat(n.Data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("data directory %s does not exist: create the node with keyfob cluster init or keyfob cluster join", n.Data)
	case err != nil:
		return fmt.Errorf("reading the data directory: %w", err)
	case !info.IsDir():
		return fmt.Errorf("data: %s is not a directory", n.Data)
	}
	if _, err := os.Stat(filepath.Join(n.Data, "node.json")); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds no node: create it with keyfob cluster init or keyfob cluster join", n.Data)
	}
	if n.seal.Provider == "keyfile" {
		if _, err := os.Stat(n.seal.KeyFile); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("seal key %s is missing: restore the file that was created with this node; its data cannot be opened without it", n.seal.KeyFile)
		}
	}
	return nil
}

func (n nodeSettings) warn(ctx context.Context, log *slog.Logger) {
	if n.Seal == nil {
		log.WarnContext(ctx, "the seal key is on the same disk as the data that it seals; see seal.provider", "keyfile", n.seal.KeyFile)
	}
}

// prepare creates the key file of a new node, if it is outside the data directory.
func (n nodeSettings) prepare() error {
	if n.Seal == nil || n.seal.Provider != "keyfile" {
		return nil
	}
	if err := vault.CreateKeyFile(n.seal.KeyFile, rand.Reader); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Founded is the result of cluster init.
type Founded struct {
	Node  string `json:"node"`
	Data  string `json:"data"`
	Token string `json:"api_token"`
}

func (e *program) clusterInit() *cobra.Command {
	var from newNodeFlags
	out := &cli.Output{}
	c := cli.Command("init", "Create the first node of a new cluster, and print an administrator's API token once", func(c *cobra.Command, _ []string) error {
		n, err := e.newNode(c, from)
		if err != nil {
			return err
		}
		token, err := cluster.Bootstrap(c.Context(), n.Config)
		if err != nil {
			return fmt.Errorf("creating node %s: %w", n.Node, err)
		}
		e.Say("node %s created in %s; start it with keyfob server. The administrator's API token, shown only once:", n.Node, n.Data)
		return out.Show(e.Out, Founded{Node: n.Node, Data: n.Data, Token: token}, func(t *cli.Table) { t.Row(token) })
	})
	c.Example = "  sudo -u keyfob keyfob cluster init --config /etc/keyfob/keyfob.yaml"
	return out.Flag(from.flags(c))
}

func (e *program) clusterJoin() *cobra.Command {
	var from newNodeFlags
	var file string
	c := cli.Command("join", "Join this machine's node to the cluster that invited it", func(c *cobra.Command, _ []string) error {
		n, err := e.newNode(c, from)
		if err != nil {
			return err
		}
		invitation, err := e.ReadTypedSecret(file, "Invitation (not shown): ")
		if err != nil {
			return err
		}
		err = cluster.Join(c.Context(), invitation, n.Config, func(fingerprint string) {
			e.Say("node %s waits for its approval. On a member, compare this fingerprint: keyfob cluster approve %s\n\n    %s\n", n.Node, n.Node, fingerprint)
		})
		if err != nil {
			return fmt.Errorf("joining as node %s: %w", n.Node, err)
		}
		e.Say("node %s joined the cluster; start it with keyfob server", n.Node)
		return nil
	})
	c.Flags().StringVar(&file, "invitation-file", "-", "file with the invitation; - reads standard input, without showing it on a terminal")
	c.Example = "  sudo -u keyfob keyfob cluster join --config /etc/keyfob/keyfob.yaml"
	return from.flags(c)
}

// newNodeFlags are the flags of commands that create a node.
type newNodeFlags struct{ config, user string }

func (f *newNodeFlags) flags(c *cobra.Command) *cobra.Command {
	return userFlag(configFlag(c, &f.config), &f.user)
}

// newNode returns the settings of a node to create.
func (e *program) newNode(c *cobra.Command, from newNodeFlags) (nodeSettings, error) {
	cfg, err := e.loadConfig(from.config)
	if err != nil {
		return nodeSettings{}, e.configProblems(err)
	}
	s, err := cfg.serviceUser(from.user)
	if err != nil {
		return nodeSettings{}, err
	}
	if err := onlyItself(c, s, os.Geteuid()); err != nil {
		return nodeSettings{}, err
	}
	log := e.logger(LogConfig{Level: "error"}, new(slog.LevelVar))
	n, err := e.nodeConfig(cfg, log, nil)
	if err != nil {
		return n, err
	}
	return n, n.prepare()
}

// load reads the files of the branding.
func (b BrandingConfig) load() (webui.Branding, error) {
	out := webui.Branding{ServiceName: b.Service, HelpLine: b.Help, DoneText: b.Done}
	if b.Logo == "" {
		return out, nil
	}
	const maxLogo = 256 << 10
	logo, err := os.ReadFile(b.Logo)
	switch {
	case err != nil:
		return out, fmt.Errorf("branding.logo: %w", err)
	case len(logo) > maxLogo:
		return out, fmt.Errorf("branding.logo: %s is larger than %d KiB", b.Logo, maxLogo>>10)
	}
	out.Logo = logo
	return out, nil
}

// changed returns the changed keys that need a restart.
func changed(old, now *Config) []string {
	var keys []string
	before := keysOf(old)
	for i, k := range keysOf(now) {
		if k.path != "log.level" && !reflect.DeepEqual(k.value.Interface(), before[i].value.Interface()) {
			keys = append(keys, k.path)
		}
	}
	return keys
}
