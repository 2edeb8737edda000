"""From a HAR recording to the steps of a test.

`har_file` reads entries, `exchange` says what one holds, `playable` which can be played, `redirects` which one step plays
together, `step` what a step says; `found` are the values that responses returned, `correlation` ties them to the requests that sent
them later, `lifting` takes secrets out, `think_time` reads the pauses; `convert` does all of it and `report` says what was done.
"""
