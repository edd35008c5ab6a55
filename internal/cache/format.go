package cache

// HeadFormat numbers the layout of stored heads, and what their bytes mean. Whoever changes either raises it: what is kept
// on disk in another format is not used.
const HeadFormat = 1
