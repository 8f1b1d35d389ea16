package tokencode

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// BenchmarkWindow checks a wrong tokencode against a whole window, nearest interval
// first, with a new generator each time, like a login does.
func BenchmarkWindow(b *testing.B) {
	for _, p := range []Params{
		{Kind: TOTP, Algorithm: SHA1, Digits: 6, Period: 30 * time.Second},
		{Kind: TOTP, Algorithm: SHA256, Digits: 6, Period: 30 * time.Second},
		{Kind: SecurID, Digits: 8, Period: time.Minute, Serial: "123456789"},
	} {
		for _, half := range []int64{1, 10, 70} {
			b.Run(fmt.Sprintf("%s%s/±%d", p.Kind, p.Algorithm, half), func(b *testing.B) {
				wrong := strings.Repeat("0", p.Digits)
				base := Interval(p, time.Date(2026, 7, 1, 12, 30, 0, 0, time.UTC))
				b.ReportAllocs()
				for b.Loop() {
					g := newGenerator(b, p)
					g.Matches(base, wrong)
					for i := int64(1); i <= half; i++ {
						g.Matches(base-i, wrong)
						g.Matches(base+i, wrong)
					}
				}
			})
		}
	}
}
