package loop

func childMain(string) int { return 1 }
