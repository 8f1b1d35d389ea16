package main

import (
	"math"
	"slices"
	"testing"
)

// difference is the difference between two samples of durations, in milliseconds,
// with the probability of a difference at least as large if both have the same
// distribution.
type difference struct {
	median float64 // of the medians
	welch  float64 // probability by Welch's t-test: the means
	ks     float64 // by the test of Kolmogorov and Smirnov: the whole shape
	gap    float64 // the statistic of that: the largest distance of the two distribution functions
}

// differ compares two samples, which it sorts.
func differ(a, b []float64) difference {
	slices.Sort(a)
	slices.Sort(b)
	d := difference{median: quantile(a, 0.5) - quantile(b, 0.5), welch: welch(a, b)}
	d.gap, d.ks = kolmogorovSmirnov(a, b)
	return d
}

// quantile returns a quantile of a sorted sample.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// welch returns the two-sided p of Welch's t-test (Biometrika 34, 1947).
func welch(a, b []float64) float64 {
	meanA, errorA := meanOf(a)
	meanB, errorB := meanOf(b)
	both := errorA + errorB
	if both == 0 {
		if meanA == meanB {
			return 1
		}
		return 0
	}
	t := (meanA - meanB) / math.Sqrt(both)
	freedom := both * both / (errorA*errorA/float64(len(a)-1) + errorB*errorB/float64(len(b)-1))
	return studentTails(t, freedom)
}

// meanOf returns the mean of a sample and the square of its standard error.
func meanOf(sample []float64) (mean, squaredError float64) {
	n := float64(len(sample))
	for _, x := range sample {
		mean += x / n
	}
	for _, x := range sample {
		squaredError += (x - mean) * (x - mean)
	}
	return mean, squaredError / (n - 1) / n
}

// studentTails is the probability that Student's t lies outside ±t.
func studentTails(t, freedom float64) float64 {
	return incompleteBeta(freedom/(freedom+t*t), freedom/2, 0.5)
}

// incompleteBeta is the regularized incomplete beta function, by its continued
// fraction (DLMF 8.17.22).
func incompleteBeta(x, a, b float64) float64 {
	if x <= 0 || x >= 1 {
		return math.Max(0, math.Min(1, x))
	}
	if x > (a+1)/(a+b+2) {
		return 1 - incompleteBeta(1-x, b, a)
	}
	const tiny = 1e-300
	nonzero := func(v float64) float64 {
		if math.Abs(v) < tiny {
			return tiny
		}
		return v
	}
	c, d := 1.0, 1/nonzero(1-(a+b)*x/(a+1))
	fraction := d
	for m := 1.0; m < 100_000; m++ {
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d = 1 / nonzero(1+even*d)
		c = nonzero(1 + even/c)
		fraction *= d * c
		odd := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d = 1 / nonzero(1+odd*d)
		c = nonzero(1 + odd/c)
		fraction *= d * c
		if math.Abs(d*c-1) < 1e-15 {
			break
		}
	}
	return math.Exp(logGamma(a+b)-logGamma(a)-logGamma(b)+a*math.Log(x)+b*math.Log1p(-x)) / a * fraction
}

func logGamma(x float64) float64 {
	v, _ := math.Lgamma(x)
	return v
}

// kolmogorovSmirnov compares two sorted samples. The probability is the
// asymptotic one with Stephens' correction (J. Royal Stat. Soc. B 32, 1970).
func kolmogorovSmirnov(a, b []float64) (gap, p float64) {
	for i, j := 0, 0; i < len(a) && j < len(b); {
		x := min(a[i], b[j])
		for i < len(a) && a[i] == x {
			i++
		}
		for j < len(b) && b[j] == x {
			j++
		}
		gap = max(gap, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	n := math.Sqrt(float64(len(a)) * float64(len(b)) / float64(len(a)+len(b)))
	return gap, kolmogorovTail((n + 0.12 + 0.11/n) * gap)
}

// kolmogorovTail is the probability that Kolmogorov's statistic exceeds x.
func kolmogorovTail(x float64) float64 {
	if x < 0.2 {
		return 1 // to twelve digits; the series below is slow there
	}
	sum, sign := 0.0, 1.0
	for k := 1.0; k <= 100; k++ {
		sum += sign * math.Exp(-2*k*k*x*x)
		sign = -sign
	}
	return math.Max(0, math.Min(1, 2*sum))
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > tolerance*math.Abs(want) {
		t.Errorf("%s is %g, want %g", what, got, want)
	}
}

func TestTestsOfDifferenceAgreeWithTables(t *testing.T) {
	// Quantiles of Student's t and of the normal distribution, two-sided.
	for _, tc := range []struct{ t, freedom, want float64 }{
		{2.2281388520, 10, 0.05},
		{4.5868938587, 10, 0.001},
		{12.7062047364, 1, 0.05},
		{1.9599639845, 1e9, 0.05},
		{4.8916384757, 1e9, 1e-6},
		{0, 7, 1},
	} {
		near(t, "tail of Student's t", studentTails(tc.t, tc.freedom), tc.want, 1e-6)
		near(t, "other tail", studentTails(-tc.t, tc.freedom), tc.want, 1e-6)
	}
	for _, tc := range []struct{ x, want float64 }{{1.3580986, 0.05}, {1.6276236, 0.01}, {1.9494746, 0.001}, {0.8275736, 0.5}} {
		near(t, "tail of Kolmogorov's statistic", kolmogorovTail(tc.x), tc.want, 1e-5)
	}
}

// Student's own data ("The probable error of a mean", Biometrika 6, 1908):
// hours of sleep gained by two drugs. R: t.test(extra ~ group, data = sleep).
func TestTestsOfDifferenceAgreeWithAnotherProgram(t *testing.T) {
	one := []float64{0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0}
	two := []float64{1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4}
	near(t, "Welch's p", welch(one, two), 0.07939414, 1e-6)
	d := differ(one, two)
	near(t, "difference of medians", d.median, 0.35-1.75, 1e-9)
	near(t, "largest gap", d.gap, 0.4, 1e-9)

	a, b := []float64{1, 2, 3, 4, 5}, []float64{3, 4, 5, 6, 7}
	gap, _ := kolmogorovSmirnov(a, b)
	near(t, "largest gap with ties", gap, 0.4, 1e-9)
	if gap, p := kolmogorovSmirnov(a, a); gap != 0 || p != 1 {
		t.Errorf("a sample differs from itself by %g, p %g", gap, p)
	}
	if p := welch([]float64{1, 1, 1}, []float64{1, 1, 1}); p != 1 {
		t.Errorf("samples without variance: p %g", p)
	}
}
