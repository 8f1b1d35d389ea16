package admin

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cluster/vault"
	"keyfob/cmd/keyfob/cli"
)

// backedUp is what cluster backup answers.
type backedUp struct {
	File        string `json:"file"`
	Bytes       int64  `json:"bytes"`
	RecoveryKey string `json:"recovery_key"`               // short name
	New         string `json:"new_recovery_key,omitempty"` // the key itself, if it was made now
}

func (e *commands) clusterBackup() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var fresh bool
	c := cli.Command("backup FILE", "Write a backup of the state and the audit trail to a new FILE, sealed for the recovery key", func(c *cobra.Command, args []string) error {
		if _, err := os.Lstat(args[0]); err == nil {
			return fmt.Errorf("%s exists already: a backup is not written over another", args[0])
		}
		done := backedUp{File: args[0]}
		var err error
		if done.RecoveryKey, done.New, err = recoveryKey(r, c, fresh); err != nil {
			return err
		}
		if done.New != "" {
			e.Say("The recovery key, shown only this once. Without it no backup can be opened; with it, all of them. Keep it on paper or in a safe, and not on these machines:")
			if !out.JSON() {
				fmt.Fprintln(e.Out, done.New)
			}
		}
		if done.Bytes, err = e.fetchBackup(c.Context(), r, args[0], r.Reason(c)); err != nil {
			return fmt.Errorf("writing %s: %w", args[0], err)
		}
		e.Say("%s written, %d bytes; it opens with recovery key %s", done.File, done.Bytes, done.RecoveryKey)
		return out.Shown(e.Environment, done)
	})
	c.Long = c.Short + ".\n\nThe first backup makes the recovery key and shows it, once. Later ones need nothing: the cluster knows the half that seals.\n" +
		"keyfob cluster restore makes a cluster of the file again."
	c.Flags().BoolVar(&fresh, "new-recovery-key", false, "make another recovery key; backups of before still need the old one")
	return out.Flag(r.Because(c))
}

// recoveryKey is the short name of the key that backups are sealed for. If
// there is none, or a fresh one is wanted, it is made here, and its other half
// never leaves this process but on the screen.
func recoveryKey(r *cli.Remote, c *cobra.Command, fresh bool) (name, made string, err error) {
	key, err := r.ShowRecoveryKey(c.Context())
	if err != nil || key.Name != "" && !fresh {
		return key.Name, "", err
	}
	secret, err := vault.NewRecoveryKey()
	if err != nil {
		return "", "", err
	}
	if made, err = secret.Reveal(); err != nil {
		return "", "", err
	}
	key, err = r.SetRecoveryKey(c.Context(), api.SetRecoveryKeyRequest{CommandRequest: r.Reason(c), Public: secret.Public().Bytes()})
	return key.Name, made, err
}

// fetchBackup has a node write a backup into a file, whole or not at all.
func (e *commands) fetchBackup(ctx context.Context, r *cli.Remote, file string, reason api.CommandRequest) (size int64, err error) {
	backup, total, err := r.BackUp(ctx, reason)
	if err != nil {
		return 0, err
	}
	defer backup.Close()
	progress := e.Meter("backup, bytes", int(total))
	defer progress.End()

	err = cli.CreateFile(file, func(w io.Writer) error {
		size, err = io.Copy(w, progress.Reader(backup))
		return err
	})
	return size, err
}
