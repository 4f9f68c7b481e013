"""One head: who it is (people, looks), what it expresses, how it is turned, what covers it."""
