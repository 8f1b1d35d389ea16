package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"keyfob/cmd/keyfob/cli"
)

// unitUser is the user of the systemd unit, deploy/keyfob.service.
const unitUser = "keyfob"

// serviceUser is the user that a node runs as.
type serviceUser struct {
	name   string
	uid    uint32
	groups []uint32
}

// userFlag adds --user.
func userFlag(c *cobra.Command, name *string) *cobra.Command {
	c.Flags().StringVar(name, "user", "", "`USER` that the node runs as (default the owner of the data directory; keyfob for "+cli.DefaultData+")")
	return c
}

// serviceUser returns the user that the node runs as: the one that is named, or
// the owner of the data directory, or the user of the unit, or this one.
func (c *Config) serviceUser(name string) (serviceUser, error) {
	if name != "" {
		u, err := user.Lookup(name)
		if err != nil {
			return serviceUser{}, cli.Usagef("--user %s: there is no such user", name)
		}
		return withGroups(u)
	}
	if info, err := os.Stat(c.Data); err == nil {
		return byID(ownerOf(info).Uid)
	}
	if u, err := user.Lookup(unitUser); err == nil && c.Data == cli.DefaultData {
		return withGroups(u)
	}
	return byID(uint32(os.Geteuid()))
}

func byID(uid uint32) (serviceUser, error) {
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil { // a container has users without names
		return serviceUser{name: fmt.Sprintf("uid %d", uid), uid: uid}, nil //nolint:nilerr // see above
	}
	return withGroups(u)
}

func withGroups(u *user.User) (serviceUser, error) {
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return serviceUser{}, fmt.Errorf("looking up user %s: %w", u.Username, err)
	}
	s := serviceUser{name: u.Username, uid: uint32(uid)}
	ids, err := u.GroupIds()
	if err != nil {
		return s, fmt.Errorf("looking up the groups of user %s: %w", u.Username, err)
	}
	for _, id := range ids {
		if gid, err := strconv.ParseUint(id, 10, 32); err == nil {
			s.groups = append(s.groups, uint32(gid))
		}
	}
	return s, nil
}

func ownerOf(info fs.FileInfo) *syscall.Stat_t {
	owner, _ := info.Sys().(*syscall.Stat_t) // on Linux it always is
	return owner
}

// What a user may do with a file (inode(7)).
const (
	mayRead  = 4
	mayWrite = 2
	mayEnter = 1
)

// may reports whether the mode of a file lets the user do something.
func (s serviceUser) may(info fs.FileInfo, what fs.FileMode) bool {
	owner, mode := ownerOf(info), info.Mode().Perm()
	switch {
	case s.uid == 0:
		return true
	case owner.Uid == s.uid:
		mode >>= 6
	case slices.Contains(s.groups, owner.Gid):
		mode >>= 3
	}
	return mode&what == what
}

// canRead says why the user cannot read a file, if so. It looks at the modes of
// the file and of the directories above it, unless this process is the user's.
func (s serviceUser) canRead(path string) error {
	if int(s.uid) == os.Geteuid() {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return f.Close()
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	if real, err = filepath.Abs(real); err != nil {
		return err
	}
	for dir := filepath.Dir(real); ; dir = filepath.Dir(dir) {
		if err := s.allowed(dir, mayEnter, "enter"); err != nil {
			return err
		}
		if dir == filepath.Dir(dir) {
			return s.allowed(real, mayRead, "read")
		}
	}
}

func (s serviceUser) allowed(path string, what fs.FileMode, verb string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !s.may(info, what) {
		return fmt.Errorf("user %s cannot %s %s, which has mode %v", s.name, verb, path, info.Mode())
	}
	return nil
}

// fileKeys are the keys that name files which have to be there.
var fileKeys = append([]string{"web.tls.cert", "web.tls.key", "radius.client_ca", "nats.creds", "branding.logo", "pin.common", "metrics.token_file"}, onDemandFiles...)

// fileProblems are those of the files that a configuration names, for the user
// that the node runs as.
func (c *Config) fileProblems(s serviceUser) []problem {
	var all []problem
	for _, k := range slices.Concat(fileKeys, c.Seal.sealFiles()) {
		if path := keyOf(c, k).value.String(); path != "" {
			if err := s.canRead(path); err != nil {
				all = append(all, problem{k, err.Error()})
			}
		}
	}
	unreadable := slices.ContainsFunc(all, func(p problem) bool { return within(p.key, "web.tls") })
	if c.Web.TLS.Cert != "" && c.Web.TLS.Key != "" && !unreadable {
		pair := certificate{cert: c.Web.TLS.Cert, key: c.Web.TLS.Key}
		// This process may have fewer permissions than the user.
		if err := pair.reload(); err != nil && !errors.Is(err, fs.ErrPermission) {
			all = append(all, problem{"web.tls", err.Error()})
		}
	}
	if c.Seal.KeyFile != "" { // made with the node
		if err := s.canRead(c.Seal.KeyFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = append(all, problem{"seal.keyfile", err.Error()})
		}
	}
	if info, err := os.Stat(c.Data); err == nil && !s.may(info, mayRead|mayWrite|mayEnter) {
		all = append(all, problem{"data", fmt.Sprintf("user %s cannot write to %s, which has mode %v", s.name, c.Data, info.Mode())})
	}
	return all
}

// onlyItself refuses to make the files of a node as root if the node runs as
// another user, who could not read them.
func onlyItself(command *cobra.Command, s serviceUser, uid int) error {
	if uid != 0 || s.uid == 0 {
		return nil
	}
	return fmt.Errorf("the node runs as user %s and could not read files that root makes: run sudo -u %s %s, or use --user root if the node runs as root",
		s.name, s.name, command.CommandPath())
}
