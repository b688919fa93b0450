// SPDX-License-Identifier: LGPL-3.0-or-later

//! forward PROGRAM [ARGUMENTS...]
//!
//! Starts a program, and makes its TCP connections, and those of all its descendants, come to this process, which prints
//! where each was going and leads it on. It ends with the program's exit status.

use std::io::{self, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{exit, Command};
use std::sync::Arc;
use std::thread;
use windows_redirector::Redirector;

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let program = match arguments.next() {
        Some(program) => program,
        None => {
            eprintln!("usage: forward PROGRAM [ARGUMENTS...]");
            exit(2);
        }
    };
    let status = run(Command::new(program).args(arguments)).unwrap_or_else(|error| {
        eprintln!("forward: {error}");
        exit(1);
    });
    exit(status);
}

fn run(command: &mut Command) -> Result<i32, Box<dyn std::error::Error>> {
    // The proxy has one port, on both loopback addresses.
    let four = TcpListener::bind("127.0.0.1:0")?;
    let port = four.local_addr()?.port();
    let six = TcpListener::bind(("::1", port))?;

    // This process is the root: so whatever it starts is redirected from its first connection on. Itself it is not.
    let redirector = Redirector::builder().root(std::process::id()).proxy_port(port).start()?;
    let redirector = Arc::new(redirector);
    for listener in [four, six] {
        let redirector = Arc::clone(&redirector);
        thread::spawn(move || serve(&listener, &redirector));
    }

    let status = command.status()?;
    println!("{} connections were redirected", redirector.stats().flows_total);
    redirector.stop()?;
    Ok(status.code().unwrap_or(1))
}

fn serve(listener: &TcpListener, redirector: &Arc<Redirector>) {
    for stream in listener.incoming().flatten() {
        let redirector = Arc::clone(redirector);
        thread::spawn(move || {
            if let Err(error) = forward(stream, &redirector) {
                eprintln!("forward: {error}");
            }
        });
    }
}

fn forward(client: TcpStream, redirector: &Redirector) -> Result<(), Box<dyn std::error::Error>> {
    let destination = match redirector.lookup(client.peer_addr()?)? {
        Some(destination) => destination,
        None => return Ok(()), // no program of the tree opened it
    };
    println!("pid {} -> {}", destination.pid, destination.address);
    io::stdout().flush()?;
    let server = TcpStream::connect(destination.address)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let up = thread::spawn(move || {
        let done = io::copy(&mut from_client, &mut to_server);
        to_server.shutdown(Shutdown::Write).and(done)
    });
    let (mut from_server, mut to_client) = (server, client);
    io::copy(&mut from_server, &mut to_client)?;
    to_client.shutdown(Shutdown::Write)?;
    up.join().expect("copying does not panic")?;
    Ok(())
}
