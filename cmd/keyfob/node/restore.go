package node

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"keyfob/cluster"
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

// seekable reads through a meter.
type seekable struct {
	io.Reader
	io.Seeker
}

// restoring holds the flags of cluster restore.
type restoring struct {
	from     newNodeFlags
	keyFiles []string
	survivor string
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
the longest.

The recovery key, or as many shares of it as are needed, are typed or read from files. The whole
backup is checked before anything is written; if the restore fails, nothing is left behind.`
	c.Example = "  keyfob cluster restore /backup/keyfob.kfb --config /etc/keyfob/keyfob.yaml"
	f := c.Flags()
	cli.RecoveryKeyFiles(f, &how.keyFiles)
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
	progress := e.Meter("restore, bytes", 2*int(info.Size())) // it is checked, and then written
	defer progress.End()
	backup, err := cluster.ReadBackup(seekable{progress.Reader(f), f})
	if err != nil {
		return done, fmt.Errorf("%s: %w", file, err)
	}
	of := backup.Info
	e.Say("%s: cluster %s, written by node %s at %s, up to record %d; recovery keys %s",
		file, of.Cluster, of.Node, cli.Cell(&of.Taken), of.Sequence, of.RecoveryKeys())
	if err := e.Confirm(c, "Are all nodes of that cluster stopped, for good"); err != nil {
		return done, err
	}
	key, err := e.ReadRecoveryKey(how.keyFiles)
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
