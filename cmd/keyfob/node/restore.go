package node

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"keyfob/cluster"
	"keyfob/cluster/vault"
	"keyfob/cmd/keyfob/cli"
)

// restored is the result of cluster restore.
type restored struct {
	Node    string    `json:"node"`
	Data    string    `json:"data"`
	Cluster string    `json:"cluster"`
	Epoch   uint64    `json:"epoch"`
	Backup  uint64    `json:"backup_sequence"` // the last record of the backup's state
	Records uint64    `json:"sequence"`        // the last record
	Until   time.Time `json:"until"`           // the time of that record
	Token   string    `json:"api_token"`
}

// restoring holds the flags of cluster restore.
type restoring struct {
	from              newNodeFlags
	keyFile, survivor string
}

func (e *program) clusterRestore() *cobra.Command {
	var how restoring
	out := &cli.Output{}
	c := cli.Command("restore FILE", "Restore the first node of a cluster from a backup, and print an administrator's API token once", func(c *cobra.Command, args []string) error {
		done, err := e.restore(c, args[0], how)
		if err != nil {
			return err
		}
		e.Say("node %s restored in %s with data up to %s; start it with keyfob server, and join the other nodes again with empty data directories", done.Node, done.Data, cli.Cell(&done.Until))
		e.Say("earlier API tokens, invitations and emergency tokencodes are void. The administrator's API token, shown only once:")
		return out.Show(e.Out, done, func(tw *cli.Table) { tw.Row(done.Token) })
	})
	c.Long = c.Short + `.

Stop all nodes of the old cluster first, for good: two clusters would each accept the same
tokencode. Logins after the backup are not known. Therefore no tokencode up to now is accepted;
what a fast clock may have shown needs the next tokencode, and an event token two consecutive
tokencodes at the first login.

PINs, locks, users and policy are those of the backup. With --journal they are those of the last
record of a journal that is newer than the backup: give the data directory of the node that ran
the longest.`
	c.Example = "  keyfob cluster restore /backup/keyfob.kfb --config /etc/keyfob/keyfob.yaml"
	f := c.Flags()
	f.StringVar(&how.keyFile, "recovery-key-file", "", "`FILE` with the recovery key, - for standard input (default: ask for it)")
	f.StringVar(&how.survivor, "journal", "", "data `DIR` of a node of the old cluster, whose journal is replayed after the backup")
	return cli.Destructive(out.Flag(how.from.flags(c)))
}

func (e *program) restore(c *cobra.Command, file string, how restoring) (done restored, err error) {
	n, err := e.newNode(c, how.from)
	if err != nil {
		return done, err
	}
	if err := n.Vacant(); err != nil { // before the questions
		return done, err
	}
	f, err := os.Open(file)
	if err != nil {
		return done, fmt.Errorf("reading the backup: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return done, fmt.Errorf("reading the backup: %w", err)
	}
	progress := e.Meter("restore, bytes", int(info.Size()))
	defer progress.End()
	backup, err := cluster.ReadBackup(progress.Reader(f))
	if err != nil {
		return done, fmt.Errorf("%s: %w", file, err)
	}
	of := backup.Info
	e.Say("%s: cluster %s, written by node %s at %s, up to record %d; recovery key %s",
		file, of.Cluster, of.Node, cli.Cell(&of.Taken), of.Sequence, of.RecoveryKey)
	if err := e.Confirm(c, "Are all nodes of that cluster stopped, for good"); err != nil {
		return done, err
	}
	key, err := e.readRecoveryKey(how.keyFile)
	if err != nil {
		return done, err
	}
	if how.survivor != "" {
		how.survivor = cli.JournalIn([]string{how.survivor})
	}
	r, err := cluster.Restore(c.Context(), n.Config, backup, key, how.survivor)
	if err != nil {
		return done, fmt.Errorf("restoring %s: %w", file, err)
	}
	return restored{
		Node: n.Node, Data: n.Data, Cluster: of.Cluster, Epoch: r.Epoch,
		Backup: r.Backup, Records: r.Records, Until: r.Until, Token: r.Token,
	}, nil
}

// readRecoveryKey reads the key from a file, or asks for it.
func (e *program) readRecoveryKey(file string) (vault.RecoveryKey, error) {
	if file != "" {
		text, err := e.ReadSecret(file)
		if err != nil {
			return vault.RecoveryKey{}, err
		}
		return vault.ParseRecoveryKey(text)
	}
	in, ok := e.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return vault.RecoveryKey{}, errors.New("a recovery key is required: use --recovery-key-file FILE, or - for standard input")
	}
	fmt.Fprint(e.Err, "Recovery key: ")
	text, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(e.Err)
	if err != nil {
		return vault.RecoveryKey{}, fmt.Errorf("reading the recovery key: %w", err)
	}
	return vault.ParseRecoveryKey(string(text))
}
