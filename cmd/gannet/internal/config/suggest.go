package config

// didYouMean returns `: did you mean "x"?` for the candidate nearest to text,
// or an empty string when none is near.
func didYouMean(text string, candidates []string) string {
	const longest = 64 // of a misspelt name; the distance of a longer text takes long to find
	if len(text) > longest {
		return ""
	}
	best, bestDistance := "", len(text)/3+2
	for _, c := range candidates {
		if d := editDistance(text, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return `: did you mean "` + best + `"?`
}

// editDistance counts the bytes to insert, delete or replace to turn a into b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
