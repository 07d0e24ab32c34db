//! The operators: one file each, holding shape rule, gradient, CPU, GPU and the method that a user calls.

pub mod assign;
pub mod avg_pool;
pub mod conv;
pub mod conv_grad_input;
pub mod conv_grad_weight;
pub mod leaf;
pub mod map;
pub mod matmul;
pub mod max_pool;
pub mod pack;
pub mod pad;
pub mod pool;
pub mod reduce;
pub mod view;
pub mod window;
