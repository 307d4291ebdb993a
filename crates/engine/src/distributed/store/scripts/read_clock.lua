-- Returns the store's time and the shift. KEYS: the index of presence. ARGV: the key of the clock.
local time, shift = read_clock(KEYS[1], ARGV[1], nil)
return {ms(time), ms(shift)}
