package tokenfile

func errLater(f Format) error { return ErrUnsupported.because("%s is not read yet", f) }

func readStokenRC(*lines, *collector) error { return errLater(StokenRC) }
func readCSV(*lines, *collector) error      { return errLater(CSV) }
func isStokenRC(string) bool                { return false }
func isCSV(string) bool                     { return false }

// Encoding says how a CSV file writes secrets.
type Encoding string
