package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/api/client"
	"keyfob/cluster/vault"
	"keyfob/cmd/keyfob/cli"
)

func (e *commands) recoveryKeyCommand() *cobra.Command {
	return e.Group("recovery-key", "Manage the keys that open backups",
		e.recoveryKeyAdd(), e.recoveryKeyList(), e.recoveryKeyCheck(),
		e.removal(removal{
			use: "remove NAME", short: "No longer seal backups for a recovery key; it still opens earlier ones",
			question: "Remove recovery key %s", done: "backups are no longer sealed for recovery key %s",
			remove: (*client.Client).RemoveRecoveryKey, names: recoveryKeyNames,
		}),
	)
}

// madeKey is a new recovery key, whole or in shares. It is shown once.
type madeKey struct {
	Name      string   `json:"name"`
	Key       string   `json:"key,omitempty"`
	Shares    []string `json:"shares,omitempty"`
	Threshold int      `json:"threshold,omitempty"`
	Approval  string   `json:"approval,omitempty"` // that adding the key waits for
}

// splitting says into how many shares a new key is split; zero: not at all.
type splitting struct{ shares, threshold int }

func (e *commands) recoveryKeyAdd() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var into splitting
	var replace bool
	c := cli.Command("add", "Make a recovery key, seal backups for it, and print it or its shares once", func(c *cobra.Command, _ []string) error {
		made, err := makeRecoveryKey(c.Context(), r, r.Reason(c), into, replace)
		var waits *api.PendingCommand
		if err != nil && !errors.As(err, &waits) {
			return err
		}
		e.say(made)
		if waits != nil {
			made.Approval = waits.ID
			e.WaitsFor(waits)
		}
		return out.Show(e.Out, made, made.rows)
	})
	f := c.Flags()
	f.IntVar(&into.shares, "shares", 0, fmt.Sprintf("split the key into `N` shares for different people, at most %d (default: one whole key)", vault.MaxShares))
	f.IntVar(&into.threshold, "threshold", 0, "number `M` of shares that are needed, at least 2")
	f.BoolVar(&replace, "replace", false, "remove all other recovery keys; they still open earlier backups")
	c.MarkFlagsRequiredTogether("shares", "threshold")
	return out.Flag(r.Because(c))
}

// makeRecoveryKey makes a key and adds it to the cluster. Its private half leaves
// this process only on the screen.
func makeRecoveryKey(ctx context.Context, r *cli.Remote, why api.CommandRequest, into splitting, replace bool) (made madeKey, err error) {
	key, err := vault.NewRecoveryKey(rand.Reader)
	if err != nil {
		return made, err
	}
	made = madeKey{Name: key.Public().Name(), Threshold: into.threshold}
	if into.shares == 0 {
		made.Key, err = key.Reveal()
	} else {
		made.Shares, err = sharesOf(key, into)
	}
	if err != nil {
		return made, err
	}
	return made, r.AddRecoveryKey(ctx, api.AddRecoveryKeyRequest{
		CommandRequest: why, Public: key.Public().Bytes(),
		Shares: uint8(into.shares), Threshold: uint8(into.threshold), Replace: replace, //nolint:gosec // Split has checked them
	})
}

func sharesOf(key vault.RecoveryKey, into splitting) ([]string, error) {
	shares, err := key.Split(rand.Reader, into.shares, into.threshold)
	if err != nil {
		return nil, cli.Usagef("%v", err)
	}
	texts := make([]string, len(shares))
	for i, share := range shares {
		if texts[i], err = share.Reveal(); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// say explains what is printed.
func (e *commands) say(made madeKey) {
	if made.Key != "" {
		e.Say("Recovery key %s, shown only once. It opens the backups made from now on. Keep it on paper or in a safe, not on the nodes:", made.Name)
		return
	}
	e.Say("The %d shares of recovery key %s, shown only once. Any %d of them open the backups made from now on, fewer say nothing about the key. "+
		"Give each to another person, on paper, not on the nodes:", len(made.Shares), made.Name, made.Threshold)
}

func (made madeKey) rows(t *cli.Table) {
	if made.Key != "" {
		fmt.Fprintln(t, made.Key)
	}
	for i, share := range made.Shares {
		fmt.Fprintf(t, "# share %d of %d of recovery key %s\n%s\n", i+1, len(made.Shares), made.Name, share)
	}
}

func (e *commands) recoveryKeyList() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Listing(r.Flags(cli.Command("list", "List the keys that backups are sealed for", func(c *cobra.Command, _ []string) error {
		keys, err := r.ListRecoveryKeys(c.Context())
		if err != nil {
			return err
		}
		return out.Show(e.Out, keys, func(t *cli.Table) {
			t.Row("NAME", "SHARES", "NEEDED")
			for _, k := range keys {
				shares, needed := "whole", "1"
				if k.Shares > 0 {
					shares, needed = fmt.Sprint(k.Shares), fmt.Sprint(k.Threshold)
				}
				t.Row(k.Name, shares, needed)
			}
		})
	})))
}

// checkedKey is the result of recovery-key check.
type checkedKey struct {
	Name string `json:"name"`
	Used bool   `json:"used"` // whether backups are sealed for it
}

func (e *commands) recoveryKeyCheck() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var files []string
	c := cli.Command("check", "Read a recovery key or its shares, and say whether backups are sealed for it", func(c *cobra.Command, _ []string) error {
		key, err := e.ReadRecoveryKey(files)
		if err != nil {
			return err
		}
		names, err := recoveryKeyNames(c.Context(), r.Client)
		if err != nil {
			return err
		}
		done := checkedKey{Name: key.Public().Name()}
		for _, name := range names {
			done.Used = done.Used || name == done.Name
		}
		if !done.Used {
			return fmt.Errorf("this is recovery key %s, but backups are sealed for %s: it opens at most earlier ones", done.Name, orNone(names))
		}
		e.Say("this is recovery key %s, and it opens the backups that are made now", done.Name)
		return out.Shown(e.Environment, done)
	})
	cli.RecoveryKeyFiles(c.Flags(), &files)
	return out.Flag(r.Flags(c))
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// recoveryKeyNames are the short names of the keys that backups are sealed for.
func recoveryKeyNames(ctx context.Context, c *client.Client) ([]string, error) {
	keys, err := c.ListRecoveryKeys(ctx)
	var names []string
	for _, k := range keys {
		names = append(names, k.Name)
	}
	return names, err
}
