# From label-studio-sso (MIT), examples/custom-jwt.md, "Custom JWT System Integration"; as it stands there.
# app.py
from flask import Flask, request, redirect, jsonify
import jwt
import time
import os

app = Flask(__name__)
JWT_SECRET = 'x7KjN9mP2vL5wQ8rT4gH1nY6uB3sC0dE9fA5xZ7kM2p'
LABEL_STUDIO_URL = 'https://label-studio.example.com'

def generate_label_studio_token(user):
    """Generate JWT token for Label Studio SSO"""
    return jwt.encode(
        {
            'email': user['email'],
            'first_name': user.get('first_name', ''),
            'last_name': user.get('last_name', ''),
            'iat': int(time.time()),
            'exp': int(time.time()) + 600  # 10 minutes
        },
        JWT_SECRET,
        algorithm='HS256'
    )

@app.route('/label-studio')
def label_studio():
    """Redirect to Label Studio with SSO token"""
    # Get current user (from session, database, etc.)
    user = get_current_user()  # Your implementation

    if not user:
        return redirect('/login')

    token = generate_label_studio_token(user)
    label_studio_url = f"{LABEL_STUDIO_URL}/?token={token}"
    return redirect(label_studio_url)

@app.route('/api/label-studio-token')
def label_studio_token_api():
    """API endpoint to get Label Studio token"""
    user = get_current_user()

    if not user:
        return jsonify({'error': 'Not authenticated'}), 401

    token = generate_label_studio_token(user)
    return jsonify({'token': token, 'url': LABEL_STUDIO_URL})

if __name__ == '__main__':
    app.run(debug=True, port=3000)
