"""`soft-flow doctor --robot FILE`: asks arm, hand, cameras, clocks and computer of a cell how they are."""
