// Package browsertest drives Debian's Chromium in tests of the pages: with mouse
// or keyboard, with or without scripts, in light or dark mode, on screens of any
// width. It checks accessibility with axe-core. A message in the browser's
// console, such as a violation of the content policy, fails the test.
//
// Only tests import it. They are skipped where Chromium is not installed.
//
// axe.min.js is the unchanged axe-core 4.14.1 from npm, under the Mozilla Public
// License 2.0 (axe.LICENSE).
package browsertest

import (
	"cmp"
	"context"
	_ "embed"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

//go:embed axe.min.js
var axe string

// patience limits how long one action may take on a busy machine.
const patience = 60 * time.Second

// Keys for Press.
const (
	Tab   = kb.Tab
	Enter = kb.Enter
	Space = " "
)

// Browser is a running Chromium. It is stopped at the end of the test.
type Browser struct{ ctx context.Context }

// Start starts Chromium without a window. It accepts any certificate.
func Start(t testing.TB) *Browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.IgnoreCertErrors,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("hide-scrollbars", true),
	)
	all, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(all)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("stopping chromium: %v", err)
		}
		cancel()
		stop()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting chromium: %v", err)
	}
	return &Browser{ctx: ctx}
}

// Options describe the visitor's browser and screen.
type Options struct {
	NoScript bool
	Dark     bool
	Width    int64   // CSS pixels, default 1024
	Height   int64   // CSS pixels, default 800
	Scale    float64 // device pixels per CSS pixel, default 1
	Language string  // Accept-Language, default en
}

// Page is one visitor's tab. Each has its own cookies.
type Page struct {
	t       testing.TB
	ctx     context.Context
	console *console
}

// Open opens a tab. Console messages fail the test when it ends.
func (b *Browser) Open(t testing.TB, o Options) *Page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	p := &Page{t: t, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil {
		cancel()
		t.Fatalf("opening tab: %v", err)
	}
	p.console = listen(ctx)
	t.Cleanup(func() {
		for _, line := range p.Complaints() {
			t.Errorf("console: %s", line)
		}
		cancel()
		p.console.done.Wait()
	})
	p.do("preparing tab", chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error { return prepare(ctx, tab, o) }))
	return p
}

func prepare(ctx context.Context, tab *chromedp.Target, o Options) error {
	scheme := "light"
	if o.Dark {
		scheme = "dark"
	}
	width, height := cmp.Or(o.Width, 1024), cmp.Or(o.Height, 800)
	if _, err := cdp.Call(ctx, tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: o.NoScript}); err != nil {
		return err
	}
	if _, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
	}); err != nil {
		return err
	}
	headers := network.Headers{"Accept-Language": cmp.Or(o.Language, "en")}
	if _, err := cdp.Call(ctx, tab, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: headers}); err != nil {
		return err
	}
	_, err := chromedp.EmulateViewport(width, height, chromedp.EmulateScale(cmp.Or(o.Scale, 1)))(ctx, tab)
	return err
}

// expected matches the statuses that Chromium reports as errors but that are
// part of the wizard: forms to be corrected, or to be sent later.
var expected = regexp.MustCompile(`the server responded with a status of (422|429|503) `)

// settled is a console message that the test itself makes. When it arrives, all
// messages before it have arrived.
const settled = "keyfob browsertest: nothing more to come"

// console collects the console messages of a page.
type console struct {
	mu      sync.Mutex // guards lines
	lines   []string
	settled chan struct{}
	done    sync.WaitGroup
}

// listen collects console messages until ctx ends.
func listen(ctx context.Context) *console {
	c := &console{settled: make(chan struct{}, 1)}
	messages := chromedp.Console(ctx)
	c.done.Go(func() {
		for m, err := range messages {
			switch {
			case err != nil:
				return
			case m.Text == settled:
				c.settled <- struct{}{}
			case !expected.MatchString(m.Text):
				c.mu.Lock()
				c.lines = append(c.lines, m.String()+" "+m.URL)
				c.mu.Unlock()
			}
		}
	})
	return c
}

// Complaints returns the console messages since the last call. Messages that are
// not collected fail the test when it ends.
func (p *Page) Complaints() []string {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void]("console.debug(\""+settled+"\")")); err != nil {
		return []string{"reading console: " + err.Error()}
	}
	select {
	case <-p.console.settled:
	case <-ctx.Done():
		return []string{"reading console: " + ctx.Err().Error()}
	}
	p.console.mu.Lock()
	defer p.console.mu.Unlock()
	taken := p.console.lines
	p.console.lines = nil
	return taken
}

func (p *Page) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

func run[T any](p *Page, what string, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
	return value
}

// Visit opens a URL.
func (p *Page) Visit(url string) {
	p.t.Helper()
	p.do("visiting "+url, chromedp.Navigate(url))
}

// Fill replaces the text of a field.
func (p *Page) Fill(selector, text string) {
	p.t.Helper()
	p.do("filling "+selector, chromedp.Clear(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), text))
}

// Click clicks on an element that does not lead to another page.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.do("clicking "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// Follow clicks on a button or link and waits for the next page.
func (p *Page) Follow(selector string) {
	p.t.Helper()
	run(p, "following "+selector, chromedp.WaitEvent(page.LoadEventFired, nil, chromedp.Click(chromedp.CSS(selector))))
}

// Press presses keys in order.
func (p *Page) Press(keys ...string) {
	p.t.Helper()
	p.do("pressing keys", chromedp.KeyEvent(strings.Join(keys, "")))
}

// PressAndFollow presses a key and waits for the next page.
func (p *Page) PressAndFollow(key string) {
	p.t.Helper()
	run(p, "pressing key", chromedp.WaitEvent(page.LoadEventFired, nil, chromedp.KeyEvent(key)))
}

// Text returns the visible text of an element.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	return run(p, "reading "+selector, chromedp.Text(chromedp.CSS(selector)))
}

// WaitFor waits until an element is visible.
func (p *Page) WaitFor(selector string) {
	p.t.Helper()
	p.do("waiting for "+selector, chromedp.WaitVisible(chromedp.CSS(selector)))
}

// WaitUntil waits until a JavaScript expression is true in the page.
func (p *Page) WaitUntil(expression string) {
	p.t.Helper()
	run(p, "waiting until "+expression, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(patience)))
}

// Title returns the page's title.
func (p *Page) Title() string { p.t.Helper(); return run(p, "reading title", chromedp.Title()) }

// Path returns the path of the page's URL.
func (p *Page) Path() string {
	p.t.Helper()
	u, err := url.Parse(run(p, "reading location", chromedp.Location()))
	if err != nil {
		p.t.Fatal(err)
	}
	return u.Path
}

// Evaluate returns the value of a JavaScript expression in the page.
func Evaluate[T any](p *Page, expression string) T {
	p.t.Helper()
	return run(p, "evaluating "+expression, chromedp.Evaluate[T](expression))
}

// finding is a violation of one of axe's rules.
type finding struct {
	ID, Impact, Help string
	Nodes            []string
}

const findings = `
;axe.run(document, {runOnly: {type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}}).then(r =>
  r.violations.map(v => ({ID: v.id, Impact: v.impact, Help: v.help, Nodes: v.nodes.map(n => n.html)})))`

// Findings returns the violations of WCAG 2.2 AA and of best practices that axe
// finds. Scripts must be enabled.
func (p *Page) Findings() []string {
	p.t.Helper()
	var lines []string
	for _, f := range run(p, "running axe", chromedp.Evaluate[[]finding](axe+findings, chromedp.EvalAwaitPromise)) {
		lines = append(lines, f.ID+" ("+f.Impact+"): "+f.Help+"\n\t"+strings.Join(f.Nodes, "\n\t"))
	}
	return lines
}

// CheckAccessible fails the test if axe finds anything.
func (p *Page) CheckAccessible() {
	p.t.Helper()
	for _, f := range p.Findings() {
		p.t.Errorf("%s: axe: %s", p.Path(), f)
	}
}

// CheckReflow fails the test if the page must be scrolled sideways (WCAG 2.2,
// 1.4.10).
func (p *Page) CheckReflow() {
	p.t.Helper()
	over := Evaluate[[]string](p, `[...document.querySelectorAll("body *")]
		.filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5 && !e.classList.contains("visually-hidden"))
		.map(e => e.outerHTML.slice(0, 120))`)
	for _, e := range over {
		p.t.Errorf("%s: beyond the right edge: %s", p.Path(), e)
	}
}

// Picture returns what the window shows, as PNG.
func (p *Page) Picture() []byte {
	p.t.Helper()
	return run(p, "taking picture", chromedp.CaptureScreenshot())
}

// Shoot writes a picture of the whole page to the directory that
// KEYFOB_SCREENSHOTS names, if any.
func (p *Page) Shoot(name string) {
	p.t.Helper()
	dir := os.Getenv("KEYFOB_SCREENSHOTS")
	if dir == "" {
		return
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), run(p, "taking picture", chromedp.FullScreenshot(100)), 0o600); err != nil {
		p.t.Fatal(err)
	}
}
