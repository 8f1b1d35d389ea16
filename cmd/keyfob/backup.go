package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"keyfob/api"
	"keyfob/cluster"
	"keyfob/cluster/vault"
)

// backedUp is what cluster backup answers.
type backedUp struct {
	File        string `json:"file"`
	Bytes       int64  `json:"bytes"`
	RecoveryKey string `json:"recovery_key"`               // short name
	New         string `json:"new_recovery_key,omitempty"` // the key itself, if it was made now
}

func (e *environment) clusterBackup() *cobra.Command {
	r, out := e.remote(), &output{}
	var fresh bool
	c := command("backup FILE", "Write a backup of the state and the audit trail to a new FILE, sealed for the recovery key", func(c *cobra.Command, args []string) error {
		if _, err := os.Lstat(args[0]); err == nil {
			return fmt.Errorf("%s exists already: a backup is not written over another", args[0])
		}
		done := backedUp{File: args[0]}
		var err error
		if done.RecoveryKey, done.New, err = r.recoveryKey(c, fresh); err != nil {
			return err
		}
		if done.New != "" {
			e.say("The recovery key, shown only this once. Without it no backup can be opened; with it, all of them. Keep it on paper or in a safe, and not on these machines:")
			if out.format != "json" {
				fmt.Fprintln(e.Out, done.New)
			}
		}
		if done.Bytes, err = e.fetchBackup(c.Context(), r, args[0], r.why(c)); err != nil {
			return fmt.Errorf("writing %s: %w", args[0], err)
		}
		e.say("%s written, %d bytes; it opens with recovery key %s", done.File, done.Bytes, done.RecoveryKey)
		return out.shown(e, done)
	})
	c.Long = c.Short + ".\n\nThe first backup makes the recovery key and shows it, once. Later ones need nothing: the cluster knows the half that seals.\n" +
		"keyfob cluster restore makes a cluster of the file again."
	c.Flags().BoolVar(&fresh, "new-recovery-key", false, "make another recovery key; backups of before still need the old one")
	return out.flag(r.because(c))
}

// recoveryKey is the short name of the key that backups are sealed for. If
// there is none, or a fresh one is wanted, it is made here, and its other half
// never leaves this process but on the screen.
func (r *remote) recoveryKey(c *cobra.Command, fresh bool) (name, made string, err error) {
	var key api.RecoveryKey
	if err := r.call(c.Context(), http.MethodGet, "/cluster/recovery-key", nil, &key); err != nil || key.Name != "" && !fresh {
		return key.Name, "", err
	}
	secret, err := vault.NewRecoveryKey()
	if err != nil {
		return "", "", err
	}
	if made, err = secret.Reveal(); err != nil {
		return "", "", err
	}
	in := map[string]any{"public": secret.Public().Bytes(), "reason": r.why(c)}
	err = r.call(c.Context(), http.MethodPost, "/cluster/recovery-key", in, &key)
	return key.Name, made, err
}

// fetchBackup has a node write a backup into a file, whole or not at all.
func (e *environment) fetchBackup(ctx context.Context, r *remote, file, reason string) (size int64, err error) {
	resp, err := r.send(ctx, http.MethodPost, "/cluster/backup", map[string]string{"reason": reason})
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	total, _ := strconv.ParseInt(resp.Header.Get(api.SizeHeader), 10, 64)
	progress := e.meter("backup, bytes", int(total))
	defer progress.end()

	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*") // mode 0600
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	size, err = io.Copy(f, metered{resp.Body, progress})
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	return size, os.Link(f.Name(), file) // which replaces nothing
}

// metered tells a meter what is read.
type metered struct {
	io.Reader
	meter *meter
}

// Read implements io.Reader.
func (m metered) Read(b []byte) (int, error) {
	n, err := m.Reader.Read(b)
	m.meter.add(n)
	return n, err
}

// restored is what cluster restore answers.
type restored struct {
	Node    string    `json:"node"`
	Data    string    `json:"data"`
	Cluster string    `json:"cluster"`
	Epoch   uint64    `json:"epoch"`
	Backup  uint64    `json:"backup_sequence"` // the last record of the backup's state
	Records uint64    `json:"sequence"`        // the last record that there was
	Until   time.Time `json:"until"`           // when that was made
	Token   string    `json:"api_token"`
}

// restoring is how a backup is to be restored.
type restoring struct {
	config, keyFile, survivor string
	yes                       bool
}

func (e *environment) clusterRestore() *cobra.Command {
	var how restoring
	out := &output{}
	c := command("restore FILE", "Make the first node of a cluster again of a backup, and print an administrator's API token once", func(c *cobra.Command, args []string) error {
		done, err := e.restore(c.Context(), args[0], how)
		if err != nil {
			return err
		}
		e.say("node %s made in %s of what was known until %s; start it with keyfob server, and let the others join anew with empty data directories", done.Node, done.Data, cell(&done.Until))
		e.say("every API token, invitation and emergency tokencode of before is over. The administrator's API token, shown only this once:")
		return out.show(e.Out, done, func(tw *tabwriter.Writer) { row(tw, done.Token) })
	})
	c.Long = c.Short + `.

All nodes of the old cluster must be stopped, for good: two clusters would each accept a tokencode once. What was accepted
between the backup and now is not known, so no tokencode up to now is good any more, what a fast clock may have shown
needs the next one, and event tokens show two in a row at their first login.

PINs, locks, users and policy are as the backup has them. With --journal they are as the last record of a journal that
outlived the backup has them: give the data directory of the node that ran the longest.`
	f := c.Flags()
	f.StringVar(&how.keyFile, "recovery-key-file", "", "`FILE` with the recovery key, - for standard input; default: it is asked for")
	f.StringVar(&how.survivor, "journal", "", "data `DIR` of a node that outlived the backup, whose journal is folded in")
	f.BoolVar(&how.yes, "yes", false, "do not ask whether all nodes of the old cluster are stopped")
	return out.flag(configFlag(c, &how.config))
}

func (e *environment) restore(ctx context.Context, file string, how restoring) (done restored, err error) {
	n, err := e.newNode(how.config)
	if err != nil {
		return done, err
	}
	if err := n.Vacant(); err != nil { // before anything is asked
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
	progress := e.meter("restore, bytes", int(info.Size()))
	defer progress.end()
	backup, err := cluster.ReadBackup(metered{f, progress})
	if err != nil {
		return done, fmt.Errorf("%s: %w", file, err)
	}
	of := backup.Info
	e.say("%s is of cluster %s, written by node %s at %s, up to record %d; it opens with recovery key %s",
		file, of.Cluster, of.Node, cell(&of.Taken), of.Sequence, of.RecoveryKey)
	if err := e.allStopped(how.yes); err != nil {
		return done, err
	}
	key, err := e.readRecoveryKey(how.keyFile)
	if err != nil {
		return done, err
	}
	if how.survivor != "" {
		how.survivor = journalIn([]string{how.survivor})
	}
	r, err := cluster.Restore(ctx, n.Config, backup, key, how.survivor)
	if err != nil {
		return done, fmt.Errorf("restoring %s: %w", file, err)
	}
	return restored{
		Node: n.Node, Data: n.Data, Cluster: of.Cluster, Epoch: r.Epoch,
		Backup: r.Backup, Records: r.Records, Until: r.Until, Token: r.Token,
	}, nil
}

// allStopped asks what no program can find out.
func (e *environment) allStopped(yes bool) error {
	if yes {
		return nil
	}
	in, ok := e.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return errors.New("nothing was restored: if all nodes of the old cluster are stopped for good, say --yes")
	}
	fmt.Fprint(e.Err, "Are all nodes of that cluster stopped, for good (y/N)? ")
	if yes, err := readYes(in); err != nil || !yes {
		return errors.Join(errors.New("nothing was restored"), err)
	}
	return nil
}

// readRecoveryKey reads the key from a file, or has it typed.
func (e *environment) readRecoveryKey(file string) (vault.RecoveryKey, error) {
	if file != "" {
		text, err := e.readSecret(file)
		if err != nil {
			return vault.RecoveryKey{}, err
		}
		return vault.ParseRecoveryKey(text)
	}
	in, ok := e.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return vault.RecoveryKey{}, errors.New("a recovery key is needed: --recovery-key-file FILE, or - for standard input")
	}
	fmt.Fprint(e.Err, "Recovery key: ")
	text, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(e.Err)
	if err != nil {
		return vault.RecoveryKey{}, fmt.Errorf("reading the recovery key: %w", err)
	}
	return vault.ParseRecoveryKey(string(text))
}
