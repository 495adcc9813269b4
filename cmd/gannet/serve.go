package main

import "context"

func (p *process) serve(ctx context.Context, args []string) int { return statusSuccess }
