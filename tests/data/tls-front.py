#!/usr/bin/env python3
"""A TLS end in front of a plain server on the loopback, for the tests of certificates.

usage: tls-front.py CERTIFICATE KEY PORT      prints the port it listens on
"""
import socket
import ssl
import sys
import threading


def copy(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    try:
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve(plain, context, port):
    try:
        client = context.wrap_socket(plain, server_side=True)
    except OSError:
        return  # the client does not trust us: that is what is tested
    server = socket.create_connection(("127.0.0.1", port))
    threading.Thread(target=copy, args=(client, server), daemon=True).start()
    copy(server, client)
    client.close()


def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        plain, _ = listener.accept()
        threading.Thread(target=serve, args=(plain, context, int(sys.argv[3])), daemon=True).start()


main()
