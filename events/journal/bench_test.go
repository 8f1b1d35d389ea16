package journal

import (
	"testing"

	"keyfob/events"
)

// counting counts calls of Sync.
type counting struct {
	file
	syncs *int
}

func (c counting) Sync() error { *c.syncs++; return c.file.Sync() }

func BenchmarkAppend(b *testing.B) {
	const batch = 64
	syncs := 0
	j, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	j.open = func(path string, flag int) (file, error) {
		f, err := openFile(path, flag)
		return counting{f, &syncs}, err
	}
	var chain events.Chain
	founded := story(1)[0]
	_ = chain.Follow(founded)
	if err := j.Append([]events.Record{founded}); err != nil {
		b.Fatal(err)
	}
	d := story(2)[1].Draft
	records := make([]events.Record, batch)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		for i := range records {
			records[i] = chain.Next(1, 1, d)
		}
		b.StartTimer()
		if err := j.Append(records); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(syncs), "fsyncs")
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkRead(b *testing.B) {
	j, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	if err := j.Append(story(10_000)); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		from uint64
	}{{"long ago", 5_000}, {"just now", 10_001 - keptRecords}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			read := 0
			for b.Loop() {
				records, err := j.Read(c.from, keptRecords)
				if err != nil {
					b.Fatal(err)
				}
				read += len(records)
			}
			b.ReportMetric(float64(read)/b.Elapsed().Seconds(), "records/s")
		})
	}
	_ = j.Close()
}

func BenchmarkVerify(b *testing.B) {
	dir := b.TempDir()
	j, err := Open(dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	if err := j.Append(story(20_000)); err != nil {
		b.Fatal(err)
	}
	_ = j.Close()
	b.ResetTimer()
	for range b.N {
		if report, err := Verify(dir, nil); err != nil || report.Broken != 0 {
			b.Fatal(report, err)
		}
	}
	b.ReportMetric(float64(b.N*20_000)/b.Elapsed().Seconds(), "records/s")
}
