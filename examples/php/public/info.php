<?php
// A program of its own beside the front controller: /info.php/any/thing
header('Content-Type: application/json');
echo json_encode($_SERVER, JSON_UNESCAPED_SLASHES | JSON_PRETTY_PRINT);
