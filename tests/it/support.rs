//! What the tests share: a home of their own for every test.
