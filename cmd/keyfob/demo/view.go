package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"keyfob/api"
	"keyfob/api/client"
	"keyfob/cmd/keyfob/cli"
	"keyfob/cmd/keyfob/fob"
	"keyfob/engine/tokenfile"
)

// show prints the addresses and the tokencodes of the sample tokens until ctx ends:
// live on a terminal, once elsewhere.
func (d *Cluster) show(ctx context.Context) error {
	v := &devView{cluster: d, out: d.Env.Out, api: d.API()}
	v.terminal, v.color = d.Env.OnTerminal(), d.Env.Color()
	v.draw(ctx)
	if !v.terminal {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			v.draw(ctx)
		case <-ctx.Done():
			d.Env.Say("\nstopping %d nodes …", len(d.Nodes))
			return nil
		}
	}
}

// devView draws the view.
type devView struct {
	cluster  *Cluster
	out      io.Writer
	api      *client.Client
	terminal bool
	color    bool
	lines    int // of the last drawing
}

// Control sequences of a terminal (ECMA-48; the last two are DEC private modes).
const (
	cutLines  = "\x1b[?7l" // long lines are cut
	wrapLines = "\x1b[?7h"
)

func (v *devView) draw(ctx context.Context) {
	var b bytes.Buffer
	v.write(ctx, &b)
	text := strings.TrimRight(b.String(), "\n")
	if !v.terminal {
		fmt.Fprintln(v.out, text)
		return
	}
	lines := strings.Split(text, "\n")
	if rows := v.rows(); len(lines) >= rows {
		lines = lines[:max(0, rows-1)]
	}
	frame := cutLines
	if v.lines > 0 {
		frame += fmt.Sprintf("\x1b[%dA\r", v.lines)
	}
	for _, line := range lines {
		frame += line + cli.ClearLine + "\n"
	}
	for range v.lines - len(lines) {
		frame += cli.ClearLine + "\n"
	}
	v.lines = max(v.lines, len(lines))
	_, _ = io.WriteString(v.out, frame+wrapLines)
}

// rows returns the number of lines of the terminal.
func (v *devView) rows() int {
	if f, ok := v.out.(*os.File); ok {
		if _, rows, err := term.GetSize(int(f.Fd())); err == nil && rows > 0 {
			return rows
		}
	}
	return math.MaxInt
}

func (v *devView) write(ctx context.Context, b *bytes.Buffer) {
	d := v.cluster
	first := d.Nodes[0]
	fmt.Fprintf(b, "\n%s\n\n", v.bold("keyfob dev: "+d.Dir))
	tw := cli.NewTable(b)
	tw.Row("NODE", "STATE", "PID", "PAGES", "API", "RADIUS")
	states := v.states(ctx)
	for _, n := range d.Nodes {
		tw.Row(n.Name, states[n.Name], n.pid(), "https://"+Loopback(n.Ports.web), "https://"+Loopback(n.Ports.admin), Loopback(n.Ports.Radius))
	}
	tw.Row()
	tw.Row("USER", "TOKEN", "PIN", "STATE", "TOKENCODE", "PASSCODE", "LEFT")
	v.tokens(ctx, tw)
	_ = tw.Flush() // to memory
	fmt.Fprintf(b, "\nOpen %s, as alice, with the tokencode alone: the wizard sets a PIN.\n", v.bold("https://"+Loopback(first.Ports.web)))
	fmt.Fprintf(b, "At the VPN:  radclient, secret %s (any address of 127.0.0.0/8)\n", d.Secret)
	fmt.Fprintf(b, "Commands:    keyfob user list --data %s\n", first.Dir)
	fmt.Fprintf(b, "Addresses:   %s\n", d.file(File))
	if v.terminal {
		fmt.Fprintf(b, "Ctrl-C stops the nodes; the next start continues with the same data.\n")
	}
}

// states returns the state of each node.
func (v *devView) states(ctx context.Context) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, v.timeout())
	defer cancel()
	states := map[string]string{}
	s, err := v.api.ClusterStatus(ctx)
	if err != nil {
		v.api = v.cluster.API() // another node may be running
	}
	for _, n := range s.Nodes {
		states[n.Name] = n.State
	}
	for _, n := range v.cluster.Nodes {
		if !n.running() {
			states[n.Name] = "ended"
		}
	}
	return states
}

// timeout limits a request. On a terminal, the view is drawn every second, with
// what is known; elsewhere it is drawn once.
func (v *devView) timeout() time.Duration {
	if v.terminal {
		return 900 * time.Millisecond
	}
	return ReadyWait
}

// tokens writes a line for each sample token.
func (v *devView) tokens(ctx context.Context, tw *cli.Table) {
	ctx, cancel := context.WithTimeout(ctx, v.timeout())
	defer cancel()
	known := map[string]api.Token{}
	if tokens, err := v.api.ListTokens(ctx, api.ListTokensQuery{}); err == nil {
		for _, t := range tokens {
			known[t.Serial] = t
		}
	}
	now := v.cluster.Env.Now()
	for _, s := range v.cluster.people {
		code, passcode, left := v.cluster.display(s, known[s.Serial], now)
		state := s.Mode
		if t, ok := known[s.Serial]; ok {
			state = cli.InLocalTime(t.State)
		}
		tw.Row(s.User, s.Kind+" "+s.Serial, s.PIN, state, code, passcode, left)
	}
}

// display returns what a sample token shows, with the PIN of the first start.
func (d *Cluster) display(s Sample, t api.Token, now time.Time) (code, passcode, left string) {
	token, err := tokenfile.ParseURI(s.URI)
	if err != nil {
		return "-", "-", "-"
	}
	offsets, err := fob.OffsetsIn(s.URI)
	if err != nil {
		return "-", "-", "-"
	}
	m := fob.Moment{At: now}
	if token.Params.Period == 0 {
		m.Next = max(0, t.Last+1-token.Counter) // continue after the last press that the cluster has seen
	}
	shown, err := fob.Token{Token: token, Offset: offsets[token.Serial]}.Show(m, s.PIN)
	if err != nil {
		return "-", "-", "-"
	}
	if left = "button"; token.Params.Period > 0 {
		left = fmt.Sprintf("%d s", shown.SecondsLeft)
	}
	return shown.Tokencode, shown.Passcode, left
}

func (v *devView) bold(s string) string {
	if !v.color {
		return s
	}
	return "\x1b[1m" + s + "\x1b[0m"
}
