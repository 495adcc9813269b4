package bench

import (
	_ "embed" // for the template
	"html/template"
	"io"
)

//go:embed page.html
var pageText string

// writePage writes report.html: one file without scripts that asks for nothing else.
// Everything that comes from brokers and from files is text, which the template escapes.
func (c *comparison) writePage(w io.Writer) error {
	page, err := template.New("page").Parse(pageText)
	if err != nil {
		panic("page.html: " + err.Error())
	}
	type scenarioPart struct {
		Name, About string
		Charts      []chart
		Remarks     []string
	}
	type settingsPart struct{ Name, About, Release, Build, Notes, Text string }
	view := struct {
		Title          string
		Width          int
		Facts          [][2]string
		Explanation    []string
		Behind, Absent []string
		Glance, Table  [][]string
		Scenarios      []scenarioPart
		Settings       []settingsPart
	}{
		Title: c.title(), Width: chartWidth, Facts: c.facts(), Explanation: c.explanation(),
		Behind: c.behind(), Absent: c.absentLines(), Glance: c.glance(), Table: c.table(),
	}
	rows := c.rows()
	for i := range rows {
		r := &rows[i]
		view.Scenarios = append(view.Scenarios, scenarioPart{r.entry.name, r.entry.about, r.charts(c.names()), r.remarks(c.names())})
	}
	for i := range c.Peers {
		m := &c.Peers[i]
		view.Settings = append(view.Settings, settingsPart{m.Name, m.About, m.release(), m.Build, m.Notes, m.settings()})
	}
	return page.Execute(w, view)
}
